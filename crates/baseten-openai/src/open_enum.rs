//! Enums that keep what they do not know.

/// Declares an enum of texts with a last variant `Other` for every text not listed, so that a new
/// value of a server is no error and is written back as it came. One in which servers were seen to have
/// numbers names the variant that keeps them, with `or number`.
macro_rules! open_enum {
    (
        $(#[$meta:meta])*
        pub enum $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)+ }
        $(or number $(#[$number_doc:meta])* $number:ident)?
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$doc])* $variant,)+
            $($(#[$number_doc])* $number(Box<str>),)?
            /// Any other value, as the server wrote it.
            Other(Box<str>),
        }

        impl $name {
            /// The value as it stands in JSON.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)+
                    $(Self::$number(digits) => digits,)?
                    Self::Other(text) => text,
                }
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                match text {
                    $($text => Self::$variant,)+
                    _ => Self::Other(text.into()),
                }
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl ::serde::Serialize for $name {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                $(if let Self::$number(digits) = self
                    && let Ok(number) = digits.parse::<::serde_json::Number>()
                {
                    return number.serialize(serializer);
                })?
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> ::serde::Deserialize<'de> for $name {
            fn deserialize<D: ::serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl<'de> ::serde::de::Visitor<'de> for Text {
                    type Value = $name;
                    fn expecting(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                        f.write_str("text")
                    }
                    fn visit_str<E: ::serde::de::Error>(self, text: &str) -> Result<$name, E> {
                        Ok(text.into())
                    }
                    $(
                        fn visit_u64<E: ::serde::de::Error>(self, number: u64) -> Result<$name, E> {
                            Ok($name::$number(number.to_string().into()))
                        }
                        fn visit_i64<E: ::serde::de::Error>(self, number: i64) -> Result<$name, E> {
                            Ok($name::$number(number.to_string().into()))
                        }
                        fn visit_f64<E: ::serde::de::Error>(self, number: f64) -> Result<$name, E> {
                            Ok($name::$number(::serde_json::json!(number).to_string().into()))
                        }
                        fn visit_map<A: ::serde::de::MapAccess<'de>>(self, map: A) -> Result<$name, A::Error> {
                            Ok($name::$number($crate::lenient::number(map)?.to_string().into()))
                        }
                    )?
                }
                deserializer.deserialize_any(Text)
            }
        }
    };
}

pub(crate) use open_enum;
