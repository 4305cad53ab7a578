//! Field names that the code asks for, recognised once while a head is read.

macro_rules! known {
    ($($variant:ident = $text:literal,)*) => {
        /// A field name the code knows. Recognised once, compared as a byte from then on.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        #[allow(missing_docs)]
        pub enum Known {
            /// Any name not listed here.
            Other,
            $($variant,)*
        }

        impl Known {
            /// The name in lower case; empty for [`Known::Other`].
            pub const fn as_str(self) -> &'static str {
                match self {
                    Known::Other => "",
                    $(Known::$variant => $text,)*
                }
            }

            const ALL: &'static [Known] = &[$(Known::$variant,)*];
        }
    };
}

known! {
    Accept = "accept",
    AcceptEncoding = "accept-encoding",
    AcceptRanges = "accept-ranges",
    Allow = "allow",
    Authorization = "authorization",
    CacheControl = "cache-control",
    Connection = "connection",
    ContentEncoding = "content-encoding",
    ContentLength = "content-length",
    ContentRange = "content-range",
    ContentType = "content-type",
    Cookie = "cookie",
    Date = "date",
    Etag = "etag",
    Expect = "expect",
    Forwarded = "forwarded",
    Host = "host",
    IfMatch = "if-match",
    IfModifiedSince = "if-modified-since",
    IfNoneMatch = "if-none-match",
    IfRange = "if-range",
    IfUnmodifiedSince = "if-unmodified-since",
    KeepAlive = "keep-alive",
    LastModified = "last-modified",
    Location = "location",
    MaxForwards = "max-forwards",
    Origin = "origin",
    ProxyAuthenticate = "proxy-authenticate",
    ProxyAuthorization = "proxy-authorization",
    ProxyConnection = "proxy-connection",
    Range = "range",
    Referer = "referer",
    RetryAfter = "retry-after",
    Server = "server",
    SetCookie = "set-cookie",
    Te = "te",
    Trailer = "trailer",
    TransferEncoding = "transfer-encoding",
    Upgrade = "upgrade",
    UserAgent = "user-agent",
    Vary = "vary",
    Via = "via",
    XForwardedFor = "x-forwarded-for",
    XForwardedHost = "x-forwarded-host",
    XForwardedProto = "x-forwarded-proto",
}

/// The longest known name.
const LONGEST: usize = 19;

/// For each length and first letter the candidates are few; the table is built at compile time, as the index
/// of the first known name of each length in a list sorted by length.
const BY_LENGTH: ([Known; Known::ALL.len()], [u8; LONGEST + 2]) = {
    let mut sorted = [Known::Other; Known::ALL.len()];
    let mut first = [0u8; LONGEST + 2];
    let mut n = 0;
    let mut len = 0;
    while len <= LONGEST {
        first[len] = n as u8;
        let mut i = 0;
        while i < Known::ALL.len() {
            if Known::ALL[i].as_str().len() == len {
                sorted[n] = Known::ALL[i];
                n += 1;
            }
            i += 1;
        }
        len += 1;
    }
    first[LONGEST + 1] = n as u8;
    assert!(n == Known::ALL.len(), "LONGEST is too short");
    (sorted, first)
};

impl Known {
    /// Recognises a field name, without regard to case.
    pub fn of(name: &[u8]) -> Known {
        if name.is_empty() || name.len() > LONGEST {
            return Known::Other;
        }
        let (sorted, first) = &BY_LENGTH;
        let candidates = &sorted[first[name.len()] as usize..first[name.len() + 1] as usize];
        let start = name[0] | 0x20;
        candidates
            .iter()
            .copied()
            .find(|k| k.as_str().as_bytes()[0] == start && k.as_str().as_bytes().eq_ignore_ascii_case(name))
            .unwrap_or(Known::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_name_is_found_in_any_case() {
        for k in Known::ALL {
            assert_eq!(Known::of(k.as_str().as_bytes()), *k);
            assert_eq!(Known::of(k.as_str().to_uppercase().as_bytes()), *k);
        }
        for other in ["", "x", "hosts", "contentlength", "content-length ", "a-name-much-longer-than-any"] {
            assert_eq!(Known::of(other.as_bytes()), Known::Other);
        }
    }
}
