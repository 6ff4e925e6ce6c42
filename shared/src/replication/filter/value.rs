//! A jq value with bounds of its depth and size.
//!
//! jaq drops, compares and prints values recursively, and shares parts of values. So a small filter can make values
//! that take forever to walk, or overflow the stack when they are dropped. Each value here carries upper bounds of its
//! depth and of its size as a tree. A value whose bounds pass a limit is measured; if it is too large, the run ends.
//!
//! Nothing here prints content: a value's `Display` is its type, because jaq puts values into its messages.

mod access;
mod arithmetic;
mod library;

use std::cmp::Ordering;
use std::fmt;

use jaq_core::Exn;
use jaq_json::{Num, Val};

use super::kind::Kind;
use super::meter::{self, Limit};

/// Nesting depth of a value. An item has at most 33 levels with its own.
const DEPTH: u32 = 128;
/// Size of a value as a tree, in bytes.
const SIZE: u64 = 16 << 20;
/// Steps that lead from a value to another one that is no part of it, such as from null to null.
const DETOURS: u16 = 1_000;
/// Bits of an integer: 1,200 digits.
const INTEGER_BITS: u64 = 4_096;
/// Size of a value without its content.
const BASE_SIZE: u64 = 8;

pub(super) type Error = jaq_core::Error<Value>;
pub(super) type Result<T = Value> = std::result::Result<T, Error>;
pub(super) type ExnResult<'a, T = Value> = std::result::Result<T, Exn<'a, Value>>;

/// Value of a filter, with bounds.
#[derive(Clone, Default)]
pub(super) struct Value {
    pub(super) val: Val,
    bounds: Bounds,
}

/// Upper bounds of a value.
#[derive(Clone, Copy, Default)]
struct Bounds {
    size: u32,
    depth: u16,
    /// Steps that were no descent, on the way from where the value was made. They bound the length of paths.
    detours: u16,
}

impl Bounds {
    /// Bounds of a value within these: parts are smaller than the whole.
    fn part(self, val: Val) -> Value {
        match &val {
            Val::Arr(_) | Val::Obj(_) => {
                let bounds = Self { depth: self.depth.saturating_sub(1).max(1), ..self };
                Value { val, bounds }
            }
            _ => Value { bounds: Self { detours: self.detours, ..leaf_bounds(&val) }, val },
        }
    }

    /// Bounds of what stands around the result of a step that does not lead into the value, such as a slice.
    fn detour(self) -> Self {
        if self.detours >= DETOURS {
            meter::stop(Limit::Path);
        }
        Self { detours: self.detours + 1, depth: self.depth.saturating_add(1), ..self }
    }
}

fn leaf_bounds(val: &Val) -> Bounds {
    let content = match val {
        Val::TStr(text) | Val::BStr(text) => text.len(),
        Val::Num(Num::Dec(text)) => text.len(),
        Val::Num(Num::BigInt(integer)) => {
            if integer.bits() > INTEGER_BITS {
                meter::stop(Limit::Digits);
            }
            0
        }
        _ => 0,
    };
    let size = BASE_SIZE + content as u64;
    if size > SIZE {
        meter::stop(Limit::Size);
    }
    Bounds { size: u32::try_from(size).unwrap_or(u32::MAX), depth: 0, detours: 0 }
}

impl Value {
    /// Takes a value of any depth up to twice the limit, and measures it.
    pub(super) fn measured(val: Val) -> Self {
        let mut size = 0;
        let depth = measure(&val, 0, &mut size);
        meter::count_steps(usize::try_from(size / 256).unwrap_or(usize::MAX));
        let bounds = Bounds {
            size: u32::try_from(size).unwrap_or(u32::MAX),
            depth: u16::try_from(depth).unwrap_or(u16::MAX),
            detours: 0,
        };
        Self { val, bounds }
    }

    /// Takes a value with bounds that were computed from its parts.
    fn bounded(val: Val, size: u64, depth: u32) -> Self {
        match &val {
            Val::Arr(_) | Val::Obj(_) if size > SIZE || depth > DEPTH => Self::measured(val),
            Val::Arr(_) | Val::Obj(_) => {
                let bounds = Bounds {
                    size: u32::try_from(size).unwrap_or(u32::MAX),
                    depth: u16::try_from(depth).unwrap_or(u16::MAX),
                    detours: 0,
                };
                Self { val, bounds }
            }
            _ => Self { bounds: leaf_bounds(&val), val },
        }
    }

    /// Takes a value that has no parts.
    pub(super) fn leaf(val: Val) -> Self {
        Self { bounds: leaf_bounds(&val), val }
    }

    pub(super) fn kind(&self) -> Kind {
        Kind::of(&self.val)
    }

    fn size(&self) -> u64 {
        u64::from(self.bounds.size)
    }

    fn depth(&self) -> u32 {
        u32::from(self.bounds.depth)
    }
}

/// Adds the value's size, and returns its depth. Ends the run at the limits, so that no walk is long.
fn measure(val: &Val, level: u32, size: &mut u64) -> u32 {
    if level > DEPTH {
        meter::stop(Limit::Depth);
    }
    let depth = match val {
        Val::Arr(members) => {
            *size += BASE_SIZE;
            1 + members.iter().map(|member| measure(member, level + 1, size)).max().unwrap_or(0)
        }
        Val::Obj(members) => {
            *size += BASE_SIZE;
            let depth = |(name, member)| measure(name, level + 1, size).max(measure(member, level + 1, size));
            1 + members.iter().map(depth).max().unwrap_or(0)
        }
        leaf => {
            *size += u64::from(leaf_bounds(leaf).size);
            0
        }
    };
    if *size > SIZE {
        meter::stop(Limit::Size);
    }
    depth
}

/// Returns a value of a type without content, for messages.
pub(super) fn sample(kind: Kind) -> Value {
    let val = match kind {
        Kind::Null => Val::Null,
        Kind::Boolean => Val::Bool(false),
        Kind::Number => Val::from(0_isize),
        Kind::String => Val::utf8_str(""),
        Kind::Array => Val::Arr(Vec::new().into()),
        Kind::Object => Val::obj(jaq_json::Map::default()),
    };
    Value::bounded(val, BASE_SIZE, 1)
}

impl fmt::Display for Value {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.kind().name())
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.kind().name())
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.val == other.val
    }
}

impl Eq for Value {}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// jq's order of values.
impl Ord for Value {
    fn cmp(&self, other: &Self) -> Ordering {
        // Sorts compare outside of terms.
        meter::count_comparison();
        self.val.cmp(&other.val)
    }
}
