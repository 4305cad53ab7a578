//! Pages of a site's own for what fails.

use std::rc::Rc;
use std::sync::Arc;

/// Which statuses a page is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statuses {
    /// This one.
    One(u16),
    /// All of a class: 4 for 4xx, 5 for 5xx.
    Class(u8),
}

/// What a route has its failures answered with: pages, in memory, each in the place of our own page, with the same status and
/// fields; and fields for all of them.
#[derive(Clone, Debug, Default)]
pub struct ErrorPages {
    pages: Vec<(Statuses, ErrorPage)>,
    fields: Vec<(String, String)>,
    suffix: Option<Arc<str>>,
}

/// A page.
#[derive(Clone, Debug)]
pub struct ErrorPage {
    /// Its Content-Type.
    pub content_type: String,
    /// Its bytes.
    pub body: Rc<[u8]>,
}

impl ErrorPages {
    /// These pages, in any order.
    pub fn new(mut pages: Vec<(Statuses, ErrorPage)>) -> ErrorPages {
        // The page of one status goes before that of its class.
        pages.sort_by_key(|(statuses, _)| matches!(statuses, Statuses::Class(_)));
        ErrorPages { pages, ..ErrorPages::default() }
    }

    /// The same, with these fields in every answer, with our own pages too; names and values that a field can have.
    pub fn with_fields(self, fields: Vec<(String, String)>) -> ErrorPages {
        ErrorPages { fields, ..self }
    }

    /// The same, with this at the end of our own pages in HTML; it is no text but markup.
    pub fn with_suffix(self, suffix: Arc<str>) -> ErrorPages {
        ErrorPages { suffix: Some(suffix), ..self }
    }

    /// What is put to the end of our own pages in HTML.
    pub(crate) fn suffix(&self) -> &str {
        self.suffix.as_deref().unwrap_or_default()
    }

    /// The fields for every answer.
    pub(crate) fn fields(&self) -> &[(String, String)] {
        &self.fields
    }

    /// The page for a status.
    pub fn page(&self, status: u16) -> Option<&ErrorPage> {
        let fits = |statuses: &Statuses| match *statuses {
            Statuses::One(one) => one == status,
            Statuses::Class(class) => u16::from(class) == status / 100,
        };
        self.pages.iter().find(|(statuses, _)| fits(statuses)).map(|(_, page)| page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_status_goes_before_its_class() {
        let page = |text: &str| ErrorPage { content_type: text.into(), body: text.as_bytes().into() };
        let pages = ErrorPages::new(vec![
            (Statuses::Class(5), page("5xx")),
            (Statuses::One(503), page("503")),
            (Statuses::One(404), page("404")),
        ]);
        let found = |status| pages.page(status).map(|p| p.content_type.as_str());
        assert_eq!([found(503), found(502), found(404), found(403)], [Some("503"), Some("5xx"), Some("404"), None]);
    }
}
