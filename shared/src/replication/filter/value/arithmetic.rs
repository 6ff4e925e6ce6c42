//! The operators of jq. jaq-json computes; here, size is counted before it is taken, and messages name types only.

use std::ops::{Add, Div, Mul, Neg, Rem, Sub};

use jaq_core::ops::Math;
use jaq_json::{Map, Num, Rc, Val};

use super::super::kind::Kind;
use super::super::meter::{self, Limit};
use super::{BASE_SIZE, Error, Result, SIZE, Value, sample};

/// Memory of an object's member beside what its value holds.
pub(super) const MEMBER_BYTES: usize = 48;
/// Memory of one part of a split text.
const PART_BYTES: usize = 72;

fn failed(left: Kind, operator: Math, right: Kind) -> Error {
    Error::math(sample(left), operator, sample(right))
}

/// Memory that a change of the value takes because the value is in use elsewhere, too.
pub(super) fn copied_bytes(val: &Val) -> usize {
    match val {
        Val::Arr(members) if Rc::strong_count(members) > 1 => members.len() * size_of::<Val>(),
        Val::Obj(members) if Rc::strong_count(members) > 1 => members.len() * MEMBER_BYTES,
        Val::TStr(text) | Val::BStr(text) if !text.is_unique() => text.len(),
        _ => 0,
    }
}

/// Memory of a value's own level.
pub(super) fn added_bytes(val: &Val) -> usize {
    match val {
        Val::Arr(members) => members.len() * size_of::<Val>(),
        Val::Obj(members) => members.len() * MEMBER_BYTES,
        Val::TStr(text) | Val::BStr(text) => text.len(),
        _ => 0,
    }
}

impl Add for Value {
    type Output = Result;

    fn add(self, right: Self) -> Result {
        meter::count_steps(1);
        let (left_kind, right_kind) = (self.kind(), right.kind());
        if left_kind == right_kind {
            meter::count_bytes(copied_bytes(&self.val) + added_bytes(&right.val));
        }
        let (size, depth) = (self.size() + right.size(), self.depth().max(right.depth()));
        let sum = (self.val + right.val).map_err(|_| failed(left_kind, Math::Add, right_kind))?;
        Ok(Self::bounded(sum, size, depth))
    }
}

impl Sub for Value {
    type Output = Result;

    fn sub(self, right: Self) -> Result {
        let (left_kind, right_kind) = (self.kind(), right.kind());
        meter::count_bytes(copied_bytes(&self.val));
        let (size, depth) = (self.size(), self.depth());
        let difference = (self.val - right.val).map_err(|_| failed(left_kind, Math::Sub, right_kind))?;
        Ok(Self::bounded(difference, size, depth))
    }
}

impl Mul for Value {
    type Output = Result;

    fn mul(self, right: Self) -> Result {
        let (left_kind, right_kind) = (self.kind(), right.kind());
        match (&self.val, &right.val) {
            (Val::TStr(text) | Val::BStr(text), Val::Num(times))
            | (Val::Num(times), Val::TStr(text) | Val::BStr(text)) => count_repetition(text.len(), times),
            (Val::Obj(left), Val::Obj(right)) => count_merge(left, right, false),
            _ => {}
        }
        let (size, depth) = (self.size() + right.size(), self.depth().max(right.depth()));
        let product = (self.val * right.val).map_err(|_| failed(left_kind, Math::Mul, right_kind))?;
        Ok(Self::bounded(product, size, depth))
    }
}

fn count_repetition(len: usize, times: &Num) {
    let times = match times {
        Num::Int(times) => usize::try_from(*times).unwrap_or(0),
        Num::BigInt(_) => usize::MAX,
        Num::Float(_) | Num::Dec(_) => return,
    };
    let bytes = len.saturating_mul(times);
    if bytes as u64 > SIZE {
        meter::stop(Limit::Size);
    }
    meter::count_bytes(bytes);
}

/// Counts the memory of a merge, which copies what is in use elsewhere, at every level.
fn count_merge(left: &Rc<Map>, right: &Map, copied: bool) {
    let copied = copied || Rc::strong_count(left) > 1;
    let copies = if copied { left.len() } else { 0 };
    meter::count_steps(right.len());
    meter::count_bytes((copies + right.len()) * MEMBER_BYTES);
    for (name, right) in right {
        if let (Some(Val::Obj(left)), Val::Obj(right)) = (left.get(name), right) {
            count_merge(left, right, copied);
        }
    }
}

impl Div for Value {
    type Output = Result;

    fn div(self, right: Self) -> Result {
        let (left_kind, right_kind) = (self.kind(), right.kind());
        let mut size = self.size();
        if let (Val::TStr(text), Val::TStr(separator)) = (&self.val, &right.val) {
            let parts = count_parts(text, separator);
            meter::count_steps(parts);
            meter::count_bytes(parts * PART_BYTES);
            size += parts as u64 * BASE_SIZE;
        }
        let quotient = (self.val / right.val).map_err(|_| failed(left_kind, Math::Div, right_kind))?;
        Ok(Self::bounded(quotient, size, 1))
    }
}

fn count_parts(text: &[u8], separator: &[u8]) -> usize {
    match (std::str::from_utf8(text), std::str::from_utf8(separator)) {
        (Ok(text), Ok(separator)) => text.matches(separator).count() + 1,
        _ => text.len() + 1,
    }
}

impl Rem for Value {
    type Output = Result;

    fn rem(self, right: Self) -> Result {
        let (left_kind, right_kind) = (self.kind(), right.kind());
        let remainder = (self.val % right.val).map_err(|_| failed(left_kind, Math::Rem, right_kind))?;
        Ok(Self::leaf(remainder))
    }
}

impl Neg for Value {
    type Output = Result;

    fn neg(self) -> Result {
        let kind = self.kind();
        (-self.val).map(Self::leaf).map_err(|_| Error::typ(sample(kind), "number"))
    }
}
