//! Items of the AWS SDK in DynamoDB's JSON, as Lambda delivers them: all ten attribute types, binary as base64.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodbstreams::types::AttributeValue;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{
    Serialize, Serializer,
    ser::{Error, SerializeMap, SerializeSeq},
};

/// An item with its attributes in the order of their names, so that equal items give equal bytes.
#[derive(Debug)]
pub struct SortedItem<'a>(
    /// Attributes in the SDK's form.
    pub &'a HashMap<String, AttributeValue>,
);

/// An attribute value of an item.
#[derive(Debug)]
pub struct Attribute<'a>(
    /// Value in the SDK's form.
    pub &'a AttributeValue,
);

struct List<'a>(&'a [AttributeValue]);

impl Serialize for SortedItem<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let ordered: BTreeMap<_, _> = self.0.iter().collect();
        let mut map = serializer.serialize_map(Some(ordered.len()))?;
        for (name, value) in ordered {
            map.serialize_entry(name, &Attribute(value))?;
        }
        map.end()
    }
}

impl Serialize for List<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.0.len()))?;
        for value in self.0 {
            list.serialize_element(&Attribute(value))?;
        }
        list.end()
    }
}

impl Serialize for Attribute<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        match self.0 {
            AttributeValue::B(bytes) => map.serialize_entry("B", &STANDARD.encode(bytes))?,
            AttributeValue::Bool(value) => map.serialize_entry("BOOL", value)?,
            AttributeValue::Bs(set) => {
                let encoded: Vec<_> = set.iter().map(|bytes| STANDARD.encode(bytes)).collect();
                map.serialize_entry("BS", &encoded)?;
            }
            AttributeValue::L(list) => map.serialize_entry("L", &List(list))?,
            AttributeValue::M(item) => map.serialize_entry("M", &SortedItem(item))?,
            AttributeValue::N(digits) => map.serialize_entry("N", digits)?,
            AttributeValue::Ns(set) => map.serialize_entry("NS", set)?,
            AttributeValue::Null(value) => map.serialize_entry("NULL", value)?,
            AttributeValue::S(text) => map.serialize_entry("S", text)?,
            AttributeValue::Ss(set) => map.serialize_entry("SS", set)?,
            other => {
                return Err(S::Error::custom(format!("an attribute type that is not known: {other:?}")));
            }
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodbstreams::primitives::Blob;
    use serde_json::json;

    use super::*;

    #[test]
    fn all_ten_attribute_types_keep_their_form() {
        let number = "12345678901234567890.123456789";
        let item = HashMap::from([
            ("b".to_owned(), AttributeValue::B(Blob::new([0, 255]))),
            ("bool".to_owned(), AttributeValue::Bool(false)),
            ("bs".to_owned(), AttributeValue::Bs(vec![Blob::new([1]), Blob::new([2])])),
            ("l".to_owned(), AttributeValue::L(vec![AttributeValue::S(String::new()), AttributeValue::Null(true)])),
            ("m".to_owned(), AttributeValue::M(HashMap::from([("x".to_owned(), AttributeValue::N("1".into()))]))),
            ("n".to_owned(), AttributeValue::N(number.into())),
            ("ns".to_owned(), AttributeValue::Ns(vec!["1".into(), "2.0".into()])),
            ("null".to_owned(), AttributeValue::Null(true)),
            ("s".to_owned(), AttributeValue::S("ü\"\n".into())),
            ("ss".to_owned(), AttributeValue::Ss(vec!["a".into(), "b".into()])),
        ]);
        assert_eq!(
            serde_json::to_value(SortedItem(&item)).unwrap(),
            json!({
                "b": {"B": "AP8="}, "bool": {"BOOL": false}, "bs": {"BS": ["AQ==", "Ag=="]},
                "l": {"L": [{"S": ""}, {"NULL": true}]}, "m": {"M": {"x": {"N": "1"}}}, "n": {"N": number},
                "ns": {"NS": ["1", "2.0"]}, "null": {"NULL": true}, "s": {"S": "ü\"\n"}, "ss": {"SS": ["a", "b"]},
            })
        );
    }
}
