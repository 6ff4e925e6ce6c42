//! A change of the filter's definitions that keeps their recursion on the stack, where it is limited.
//!
//! jaq runs a call in tail position without stack. If such a call passes a filter (`def f(g): …; f(g | .a)`), each pass
//! keeps the former ones in a chain on the heap, without a limit; and jaq drops the chain recursively, which overflows
//! the stack. So `def f(g): body` becomes `def f(g): body | .`, in which no call is in tail position. Calls that pass
//! values only (`def f($n)`) keep no chain, and stay as they are.

use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Pattern, Term};
use jaq_core::path::Part;

/// Changes all definitions within a term.
pub(super) fn bound_recursion(term: &mut Term<&str>) {
    match term {
        Term::Id | Term::Recurse | Term::Num(_) | Term::Break(_) | Term::Var(_) | Term::Arr(None) => {}
        Term::Str(_, parts) => parts.iter_mut().for_each(|part| {
            if let StrPart::Term(term) = part {
                bound_recursion(term);
            }
        }),
        Term::Arr(Some(term)) | Term::Neg(term) | Term::Label(_, term) => bound_recursion(term),
        Term::Obj(members) => members.iter_mut().for_each(|(name, value)| {
            bound_recursion(name);
            value.iter_mut().for_each(bound_recursion);
        }),
        Term::BinOp(left, operator, right) => {
            bound_recursion(left);
            if let BinaryOp::Pipe(Some(pattern)) = operator {
                bound_pattern(pattern);
            }
            bound_recursion(right);
        }
        Term::Fold(_, values, pattern, arguments) => {
            bound_recursion(values);
            bound_pattern(pattern);
            arguments.iter_mut().for_each(bound_recursion);
        }
        Term::TryCatch(term, handler) => {
            bound_recursion(term);
            handler.iter_mut().for_each(|handler| bound_recursion(handler));
        }
        Term::IfThenElse(branches, otherwise) => {
            branches.iter_mut().for_each(|(condition, then)| {
                bound_recursion(condition);
                bound_recursion(then);
            });
            otherwise.iter_mut().for_each(|otherwise| bound_recursion(otherwise));
        }
        Term::Def(definitions, term) => {
            for definition in definitions {
                bound_recursion(&mut definition.body);
                if definition.args.iter().any(|argument| !argument.starts_with('$')) {
                    let body = Box::new(std::mem::take(&mut definition.body));
                    definition.body = Term::BinOp(body, BinaryOp::Pipe(None), Box::new(Term::Id));
                }
            }
            bound_recursion(term);
        }
        Term::Call(_, arguments) => arguments.iter_mut().for_each(bound_recursion),
        Term::Path(term, path) => {
            bound_recursion(term);
            path.0.iter_mut().for_each(|(part, _)| match part {
                Part::Index(index) => bound_recursion(index),
                Part::Range(start, end) => start.iter_mut().chain(end).for_each(bound_recursion),
            });
        }
    }
}

fn bound_pattern(pattern: &mut Pattern<&str>) {
    match pattern {
        Pattern::Var(_) => {}
        Pattern::Arr(members) => members.iter_mut().for_each(bound_pattern),
        Pattern::Obj(members) => members.iter_mut().for_each(|(name, value)| {
            bound_recursion(name);
            bound_pattern(value);
        }),
    }
}
