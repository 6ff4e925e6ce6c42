//! The types with which jaq runs here.

use jaq_core::data::{DataT, HasLut};
use jaq_core::{Ctx, Lut, Vars};

use super::meter;
use super::value::{ExnResult, Value};

/// jaq over our values.
pub(super) struct Jq;

/// Filter in the form that jaq runs.
pub(super) type Program = jaq_core::Filter<Jq>;

/// Terms of the running filter. jaq looks up every term that it evaluates, whatever calls it: so that is what counts.
#[derive(Clone, Copy)]
pub(super) struct Terms<'a>(&'a Lut<Jq>);

impl DataT for Jq {
    type V<'a> = Value;
    type Data<'a> = Terms<'a>;
}

impl<'a> HasLut<'a, Jq> for Terms<'a> {
    fn lut(&self) -> &'a Lut<Jq> {
        meter::count_term();
        self.0
    }
}

/// Returns what the program makes of a value, one by one.
pub(super) fn outputs(program: &Program, input: Value) -> impl Iterator<Item = ExnResult<'_>> {
    let context = Ctx::<Jq>::new(Terms(&program.lut), Vars::new([]));
    program.id.run((context, input))
}
