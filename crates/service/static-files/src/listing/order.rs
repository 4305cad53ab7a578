//! The order of a listing.

use crate::listing::Item;

/// By what a listing is sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Column {
    /// By name, without regard to case.
    #[default]
    Name,
    /// By size.
    Size,
    /// By time of modification.
    Modified,
}

/// The order of a listing: folders first, then by a column, then by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// By what.
    pub column: Column,
    /// Whether the largest comes first.
    pub descending: bool,
}

impl Column {
    /// Its name in a query.
    pub fn token(self) -> &'static str {
        match self {
            Column::Name => "name",
            Column::Size => "size",
            Column::Modified => "modified",
        }
    }
}

impl Order {
    /// The order that a query such as `sort=size&order=desc` asks for; what it does not say, or says wrongly, is as without it.
    pub fn of_query(query: Option<&[u8]>) -> Order {
        let mut order = Order::default();
        for pair in query.unwrap_or_default().split(|b| *b == b'&') {
            match pair {
                b"sort=name" => order.column = Column::Name,
                b"sort=size" => order.column = Column::Size,
                b"sort=modified" => order.column = Column::Modified,
                b"order=asc" => order.descending = false,
                b"order=desc" => order.descending = true,
                _ => {}
            }
        }
        order
    }

    /// The query of the order that a click on `column` asks for: the other way round if it is this one already.
    pub(crate) fn click(self, column: Column) -> String {
        let descending = self.column == column && !self.descending;
        format!("?sort={}&order={}", column.token(), if descending { "desc" } else { "asc" })
    }

    pub(crate) fn sort(self, items: &mut [Item]) {
        items.sort_by_cached_key(|item| (item.name.to_ascii_lowercase(), item.name.clone()));
        match self.column {
            Column::Name => {}
            // Folders have no size that means anything to a reader.
            Column::Size => items.sort_by_key(|item| if item.is_folder { 0 } else { item.size }),
            Column::Modified => items.sort_by_key(|item| item.modified),
        }
        if self.descending {
            items.reverse();
        }
        items.sort_by_key(|item| !item.is_folder);
    }
}
