//! The door through which jaq's standard library sees values.

use jaq_json::{Rc, Val};
use jaq_std::ValT;

use super::super::meter;
use super::Value;

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
