//! Construction and access of values, as jaq and its standard library ask for them.

use jaq_core::val::Range;
use jaq_json::{Rc, Val};
use jaq_std::ValT;

use super::super::meter;
use super::{BASE_SIZE, Value};

impl ValT for Value {
    fn into_seq<S: FromIterator<Self>>(self) -> Result<S, Self> {
        let bounds = self.bounds;
        match self.val {
            Val::Arr(members) => Ok(match Rc::try_unwrap(members) {
                Ok(members) => members.into_iter().map(|member| bounds.part(member)).collect(),
                Err(shared) => shared.iter().cloned().map(|member| bounds.part(member)).collect(),
            }),
            _ => Err(self),
        }
    }

    fn is_int(&self) -> bool {
        self.val.is_int()
    }

    fn as_isize(&self) -> Option<isize> {
        self.val.as_isize()
    }

    fn as_f64(&self) -> Option<f64> {
        self.val.as_f64()
    }

    fn is_utf8_str(&self) -> bool {
        self.val.is_utf8_str()
    }

    fn as_bytes(&self) -> Option<&[u8]> {
        self.val.as_bytes()
    }

    fn as_sub_str(&self, part: &[u8]) -> Self {
        Self::leaf(self.val.as_sub_str(part))
    }

    fn from_utf8_bytes(bytes: impl AsRef<[u8]> + Send + 'static) -> Self {
        meter::count_bytes(bytes.as_ref().len());
        Self::leaf(Val::from_utf8_bytes(bytes))
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::leaf(Val::Bool(truth))
    }
}

impl From<isize> for Value {
    fn from(integer: isize) -> Self {
        Self::leaf(Val::from(integer))
    }
}

impl From<usize> for Value {
    fn from(integer: usize) -> Self {
        Self::leaf(Val::from(integer))
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::leaf(Val::from(number))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        meter::count_bytes(text.len());
        Self::leaf(Val::from(text))
    }
}

/// The key of a slice in a path: the only use that jaq makes of it.
impl From<Range<Self>> for Value {
    fn from(range: Range<Self>) -> Self {
        meter::count_slice();
        let bound = |value: Option<Self>| value.map(|value| value.val);
        Self::measured(Val::from(bound(range.start)..bound(range.end)))
    }
}

impl FromIterator<Self> for Value {
    fn from_iter<T: IntoIterator<Item = Self>>(values: T) -> Self {
        let (mut size, mut depth) = (BASE_SIZE, 0);
        let mut members = Vec::new();
        for value in values {
            meter::count_bytes(size_of::<Val>());
            meter::count_steps(1);
            size = size.saturating_add(value.size());
            depth = depth.max(value.depth());
            members.push(value.val);
        }
        Self::bounded(Val::Arr(members.into()), size, depth + 1)
    }
}
