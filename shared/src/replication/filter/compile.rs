//! Compilation of a filter, and its problems with their places.

use jaq_core::compile::Undefined;
use jaq_core::load::lex::Lexer;
use jaq_core::load::parse::{Def, Parser, Term};
use jaq_core::load::{Arena, File, Loader, span};

use super::builtins;
use super::engine::Program;
use super::rewrite::bound_recursion;

/// Length of a filter's code in bytes.
const CODE_BYTES: usize = 16 << 10;
/// Stack that the compiling thread has for each byte of code: jaq's parser is recursive, and a byte may open a level.
const STACK_BYTES_PER_BYTE: usize = 8 << 10;
/// Stack for the definitions of jq.
const STACK_BYTES: usize = 2 << 20;
/// Name under which jaq knows the filter.
const NAME: &str = "the_filter_itself";
/// Characters of the code that a message repeats.
const QUOTED_CHARACTERS: usize = 20;

/// Error for code that is no filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct FilterError {
    /// Problems in the order in which they were found. There is at least one.
    pub problems: Vec<FilterProblem>,
}

/// Problem of a filter's code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct FilterProblem {
    /// Line within the code, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Problem at that place.
    pub message: String,
}

/// Compiles code on a thread with a stack that suffices, which ends before this returns.
pub(super) fn compile(code: &str) -> Result<Program, FilterError> {
    let broken = |message: &str| FilterError { problems: vec![problem(code, code, message.to_owned())] };
    if code.len() > CODE_BYTES {
        return Err(broken(&format!("the code has more than {CODE_BYTES} bytes")));
    }
    std::thread::scope(|scope| {
        let stack = STACK_BYTES + code.len() * STACK_BYTES_PER_BYTE;
        let builder = std::thread::Builder::new().stack_size(stack);
        match builder.spawn_scoped(scope, || compile_here(code)) {
            Ok(thread) => thread.join().unwrap_or_else(|_| Err(broken("jq's parser fails on this code"))),
            Err(error) => Err(broken(&format!("no thread can be started to compile it: {error}"))),
        }
    })
}

fn compile_here(code: &str) -> Result<Program, FilterError> {
    let error = |problems| FilterError { problems };
    let mut term = parse(code).map_err(error)?;
    bound_recursion(&mut term);
    let filter = Def { name: NAME, args: Vec::new(), body: term };
    let arena = Arena::default();
    let loader = Loader::new(builtins::definitions().map(shortened).chain([filter]));
    let unreadable = || error(vec![problem(code, code, "jq cannot load this code".to_owned())]);
    let modules = loader.load(&arena, File { code: NAME, path: () }).map_err(|_| unreadable())?;
    let compiler = jaq_core::Compiler::default().with_funs(builtins::natives());
    compiler.compile(modules).map_err(|errors| {
        let undefined = errors.into_iter().flat_map(|(_, errors)| errors);
        error(undefined.map(|(name, kind)| problem(code, name, undefined_message(name, &kind))).collect())
    })
}

/// Lets a definition stand beside those of a filter's code, which lives shorter.
fn shortened<'a>(definition: Def<&'static str>) -> Def<&'a str> {
    definition
}

fn parse(code: &str) -> Result<Term<&str>, Vec<FilterProblem>> {
    let expected = |what: &str, found: &str| problem(code, found, format!("expected {what}, found {}", quoted(found)));
    let tokens = Lexer::new(code)
        .lex()
        .map_err(|errors| errors.into_iter().map(|(what, found)| expected(what.as_str(), found)).collect::<Vec<_>>())?;
    let term = Parser::new(&tokens).parse(Parser::term).map_err(|errors| {
        let end = &code[code.len()..];
        let problems = errors.into_iter().map(|(what, found)| {
            let found = found.map_or(end, |token| token.as_str());
            let what = if what.as_str() == "nothing" { "an operator or the end" } else { what.as_str() };
            expected(what, found)
        });
        problems.collect::<Vec<_>>()
    })?;
    Ok(term)
}

fn undefined_message(name: &str, kind: &Undefined) -> String {
    if let Some(reason) = builtins::refusal(name) {
        return format!("{name} is left out: {reason}");
    }
    match kind {
        Undefined::Filter(0) => format!("there is no filter {name}"),
        Undefined::Filter(arity) => format!("there is no filter {name} with {arity} arguments"),
        kind => format!("there is no {} {name}", kind.as_str()),
    }
}

fn quoted(found: &str) -> String {
    match found.lines().next() {
        None => "the end".to_owned(),
        Some(line) => match line.char_indices().nth(QUOTED_CHARACTERS) {
            Some((cut, _)) => format!("{:?}", format!("{}…", &line[..cut])),
            None => format!("{line:?}"),
        },
    }
}

/// Makes a problem at a part of the code.
fn problem(code: &str, part: &str, message: String) -> FilterProblem {
    let inside = code.as_bytes().as_ptr_range();
    let start = part.as_ptr();
    let start = if inside.start <= start && start <= inside.end { span(code, part).start } else { 0 };
    let before = code.get(..start).unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let line = before.matches('\n').count() + 1;
    FilterProblem { line, column: before[line_start..].chars().count() + 1, message }
}
