//! Items of the AWS SDK: read, with the same values as from a stream record, and made, to be written.

use std::borrow::Cow;
use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue as Sdk;

use super::{AttributeValue, Item, MalformedItem};
use crate::number::Number;

impl Item<'static> {
    /// Converts an item of the SDK.
    ///
    /// # Errors
    /// Names the first attribute of a type that this version of driftless does not know.
    pub fn from_sdk(item: HashMap<String, Sdk>) -> Result<Self, MalformedItem> {
        let taken = item.into_iter().map(|(name, value)| match value_from_sdk(value) {
            Ok(value) => Ok((Cow::Owned(name), value)),
            Err(problem) => Err(MalformedItem { path: name, problem }),
        });
        taken.collect::<Result<_, _>>().map(Item)
    }
}

impl Item<'_> {
    /// Converts the item to one of the SDK.
    #[must_use]
    pub fn to_sdk(&self) -> HashMap<String, Sdk> {
        self.0.iter().map(|(name, value)| (name.clone().into_owned(), value.to_sdk())).collect()
    }
}

impl AttributeValue<'_> {
    /// Converts the value to one of the SDK.
    #[must_use]
    pub fn to_sdk(&self) -> Sdk {
        match self {
            Self::String(text) => Sdk::S(text.clone().into_owned()),
            Self::Number(number) => Sdk::N(number.to_string()),
            Self::Binary(bytes) => Sdk::B(Blob::new(bytes.clone())),
            Self::Bool(truth) => Sdk::Bool(*truth),
            Self::Null => Sdk::Null(true),
            Self::Map(item) => Sdk::M(item.to_sdk()),
            Self::List(values) => Sdk::L(values.iter().map(Self::to_sdk).collect()),
            Self::StringSet(set) => Sdk::Ss(set.iter().map(|text| text.clone().into_owned()).collect()),
            Self::NumberSet(set) => Sdk::Ns(set.iter().map(ToString::to_string).collect()),
            Self::BinarySet(set) => Sdk::Bs(set.iter().map(|bytes| Blob::new(bytes.clone())).collect()),
        }
    }
}

fn value_from_sdk(value: Sdk) -> Result<AttributeValue<'static>, String> {
    let number = |text: &str| Number::parse(text).map_err(|error| error.to_string());
    Ok(match value {
        Sdk::S(text) => AttributeValue::String(text.into()),
        Sdk::N(text) => AttributeValue::Number(number(&text)?),
        Sdk::B(bytes) => AttributeValue::Binary(bytes.into_inner()),
        Sdk::Bool(truth) => AttributeValue::Bool(truth),
        Sdk::Null(_) => AttributeValue::Null,
        Sdk::M(map) => AttributeValue::Map(Item::from_sdk(map).map_err(|error| error.to_string())?),
        Sdk::L(list) => AttributeValue::List(list.into_iter().map(value_from_sdk).collect::<Result<_, _>>()?),
        Sdk::Ss(set) => AttributeValue::StringSet(set.into_iter().map(Cow::Owned).collect()),
        Sdk::Ns(set) => AttributeValue::NumberSet(set.iter().map(|text| number(text)).collect::<Result<_, _>>()?),
        Sdk::Bs(set) => AttributeValue::BinarySet(set.into_iter().map(Blob::into_inner).collect()),
        _ => return Err("an attribute type that is not known here".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Document;

    #[test]
    fn a_scanned_item_gives_the_same_bytes_as_its_stream_record() {
        let blob = || Blob::new([0xde, 0xad]);
        let values = [
            ("s", Sdk::S("x".into())),
            ("n", Sdk::N("1.50".into())),
            ("b", Sdk::B(blob())),
            ("t", Sdk::Bool(true)),
            ("z", Sdk::Null(true)),
            ("m", Sdk::M([("k".to_owned(), Sdk::L(vec![Sdk::S(String::new())]))].into())),
            ("ss", Sdk::Ss(vec!["b".into(), "a".into()])),
            ("ns", Sdk::Ns(vec!["10".into(), "9".into()])),
            ("bs", Sdk::Bs(vec![blob()])),
        ];
        let scanned = Item::from_sdk(values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect());
        let streamed = Item::from_json(
            r#"{"s":{"S":"x"},"n":{"N":"1.5"},"b":{"B":"3q0="},"t":{"BOOL":true},"z":{"NULL":true},"m":{"M":{"k":{"L":[{"S":""}]}}},
                "ss":{"SS":["a","b"]},"ns":{"NS":["9","10"]},"bs":{"BS":["3q0="]}}"#,
        );
        let bytes = |item: Result<Item<'_>, MalformedItem>| Document::from_item(&item.expect("an item"));
        assert_eq!(bytes(scanned.clone()), bytes(streamed));
        let item = scanned.expect("an item");
        assert_eq!(Item::from_sdk(item.to_sdk()), Ok(item), "written, it comes back");
    }

    #[test]
    fn a_value_that_is_no_number_is_named() {
        let item = [("n".to_owned(), Sdk::N("one".into()))].into();
        assert_eq!(Item::from_sdk(item).expect_err("no number").path, "n");
    }
}
