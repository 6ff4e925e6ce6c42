//! Ways into a value and changes within it: paths, iteration and updates.

use std::cell::{Cell, RefCell};

use jaq_core::box_iter::BoxIter;
use jaq_core::path::Opt;
use jaq_core::val::Range;
use jaq_core::{Exn, ValT};
use jaq_json::{Map, Num, Rc, Val, ValX};

use super::super::kind::Kind;
use super::super::messages::OUT_OF_BOUNDS;
use super::super::meter;
use super::arithmetic::{MEMBER_BYTES, added_bytes, copied_bytes};
use super::{BASE_SIZE, Error, ExnResult, Result, Value, sample};

const ITERABLE: &str = "iterable (array or object)";
const RANGEABLE: &str = "rangeable (array or string)";

/// Results of an update, and the exception that ended it.
#[derive(Default)]
struct Update<'a> {
    size: Cell<u64>,
    depth: Cell<u32>,
    exception: RefCell<Option<Exn<'a, Value>>>,
}

impl<'a> Update<'a> {
    /// Takes a result over. jaq-json's exceptions are of another type, so ours waits outside.
    fn take(&self, result: ExnResult<'a>) -> ValX<'a> {
        match result {
            Ok(value) => {
                meter::count_steps(1);
                meter::count_bytes(size_of::<Val>());
                self.size.set(self.size.get().saturating_add(value.size()));
                self.depth.set(self.depth.get().max(value.depth()));
                Ok(value.val)
            }
            Err(exception) => {
                self.exception.replace(Some(exception));
                Err(Exn::from(jaq_json::Error::new(Val::Null)))
            }
        }
    }

    /// Ends the update of a value of this size and depth. `error` is for failures of jaq-json itself.
    fn end(self, result: ValX<'_>, size: u64, depth: u32, error: impl FnOnce() -> Error) -> ExnResult<'a> {
        match result {
            Ok(val) => {
                let depth = depth.max(self.depth.get() + 1);
                Ok(Value::bounded(val, size.saturating_add(self.size.get()), depth))
            }
            Err(_) => Err(self.exception.into_inner().unwrap_or_else(|| Exn::from(error()))),
        }
    }
}

/// Fills an array with nulls, or makes one, so that it has the position. Returns it with the number of new members.
fn filled(val: Val, position: isize) -> (Val, usize) {
    let mut members = match val {
        Val::Null => Rc::default(),
        Val::Arr(members) => members,
        other => return (other, 0),
    };
    let wanted = usize::try_from(position).map_or(0, |position| position + 1);
    let missing = wanted.saturating_sub(members.len());
    if missing > 0 {
        meter::count_bytes(missing.saturating_mul(size_of::<Val>()));
        Rc::make_mut(&mut members).resize(wanted, Val::Null);
    }
    (Val::Arr(members), missing)
}

fn not_a(kind: Kind, what: &'static str) -> Error {
    Error::typ(sample(kind), what)
}

fn bounds_of(range: Range<&Value>) -> Range<&Val> {
    range.start.map(|value| &value.val)..range.end.map(|value| &value.val)
}

impl ValT for Value {
    fn from_num(text: &str) -> Result {
        Ok(Self::leaf(Val::from_num(text).map_err(|_| not_a(Kind::String, "number"))?))
    }

    fn from_map<I: IntoIterator<Item = (Self, Self)>>(members: I) -> Result {
        let (mut size, mut depth) = (BASE_SIZE, 0);
        let members = members.into_iter().map(|(name, value)| {
            meter::count_bytes(MEMBER_BYTES);
            size = size.saturating_add(name.size()).saturating_add(value.size());
            depth = depth.max(name.depth()).max(value.depth());
            (name.val, value.val)
        });
        let members = Val::obj(members.collect());
        Ok(Self::bounded(members, size, depth + 1))
    }

    fn key_values(self) -> BoxIter<'static, Result<(Self, Self)>> {
        let (bounds, kind) = (self.bounds, self.kind());
        Box::new(self.val.key_values().map(move |member| {
            meter::count_steps(1);
            let (key, value) = member.map_err(|_| not_a(kind, ITERABLE))?;
            Ok((bounds.part(key), bounds.part(value)))
        }))
    }

    fn values(self) -> Box<dyn Iterator<Item = Result>> {
        let (bounds, kind) = (self.bounds, self.kind());
        Box::new(self.val.values().map(move |value| {
            meter::count_steps(1);
            Ok(bounds.part(value.map_err(|_| not_a(kind, ITERABLE))?))
        }))
    }

    fn index(self, index: &Self) -> Result {
        let (kind, with) = (self.kind(), index.kind());
        let bounds = match (&self.val, &index.val) {
            (Val::Null, _) | (_, Val::Obj(_)) => self.bounds.detour(),
            (Val::Arr(members), Val::Arr(_)) => {
                meter::count_steps(members.len());
                self.bounds.detour()
            }
            _ => self.bounds,
        };
        let found = self.val.index(&index.val).map_err(|_| Error::index(sample(kind), sample(with)))?;
        Ok(bounds.part(found))
    }

    fn range(self, range: Range<&Self>) -> Result {
        let (bounds, kind) = (self.bounds, self.kind());
        if let Val::TStr(text) = &self.val {
            meter::count_steps(text.len() / 256);
        }
        let slice = self.val.range(bounds_of(range)).map_err(|_| not_a(kind, RANGEABLE))?;
        if matches!(slice, Val::Arr(_)) {
            meter::count_bytes(added_bytes(&slice));
        }
        let mut slice = Self::bounded(slice, u64::from(bounds.size), u32::from(bounds.depth));
        slice.bounds.detours = bounds.detours;
        Ok(slice)
    }

    fn map_values<'a, I: Iterator<Item = ExnResult<'a>>>(self, opt: Opt, f: impl Fn(Self) -> I) -> ExnResult<'a> {
        let (bounds, kind, update) = (self.bounds, self.kind(), Update::default());
        let (size, depth) = (self.size(), self.depth());
        meter::count_bytes(copied_bytes(&self.val));
        let inner = |part| f(bounds.part(part)).map(|result| update.take(result));
        let result = self.val.map_values(opt, inner);
        update.end(result, size, depth, || not_a(kind, ITERABLE))
    }

    fn map_index<'a, I: Iterator<Item = ExnResult<'a>>>(
        self,
        index: &Self,
        opt: Opt,
        f: impl Fn(Self) -> I,
    ) -> ExnResult<'a> {
        let (bounds, kind, update) = (self.bounds, self.kind(), Update::default());
        let (size, depth) = (self.size() + index.size(), self.depth().max(index.depth() + 1));
        meter::count_bytes(copied_bytes(&self.val));
        let inner = |part| f(bounds.part(part)).map(|result| update.take(result));
        // jaq fails where jq makes what is missing: `.a.b = 1` without `.a`, or an element beyond the end.
        let (val, missing) = match (self.val, &index.val) {
            (Val::Null, Val::TStr(_)) => (Val::obj(Map::default()), 1),
            (val, Val::Num(Num::Int(position))) => filled(val, *position),
            (val, _) => (val, 0),
        };
        let size = size.saturating_add(BASE_SIZE.saturating_mul(missing as u64));
        let result = val.map_index(&index.val, opt, inner);
        let within = kind == Kind::Array && index.kind() == Kind::Number;
        update.end(result, size, depth, || if within { Error::str(OUT_OF_BOUNDS) } else { not_a(kind, ITERABLE) })
    }

    fn map_range<'a, I: Iterator<Item = ExnResult<'a>>>(
        self,
        range: Range<&Self>,
        opt: Opt,
        f: impl Fn(Self) -> I,
    ) -> ExnResult<'a> {
        let (bounds, kind, update) = (self.bounds, self.kind(), Update::default());
        let (size, depth) = (self.size(), self.depth());
        // The slice, and what is around it.
        meter::count_bytes(2 * added_bytes(&self.val));
        let inner = |part| f(bounds.part(part)).map(|result| update.take(result));
        let result = self.val.map_range(bounds_of(range), opt, inner);
        update.end(result, size, depth, || not_a(kind, RANGEABLE))
    }

    fn as_bool(&self) -> bool {
        self.val.as_bool()
    }

    fn into_string(self) -> Self {
        match self.val {
            Val::TStr(_) | Val::BStr(_) => Self::leaf(self.val.into_string()),
            _ => {
                let text = Self::leaf(self.val.into_string());
                meter::count_bytes(text.bounds.size as usize);
                text
            }
        }
    }
}
