//! Pages that were made for one request each, for as long as they are on their way.

use std::cell::RefCell;
use std::rc::Rc;

/// So many bytes of them a worker holds at a time. A listing of as many names as are shown has 2 MB, and a client that asks for it and does not
/// read, or slowly, holds it for as long as it likes: with thousands of such clients all memory would go.
const BYTES_MAX: usize = 32 << 20;

/// Shorter ones do not count: they are no more than any connection may hold.
const COUNTED_FROM: usize = 16 << 10;

/// The pages that are on their way to clients.
#[derive(Debug, Default)]
pub(crate) struct Pages(RefCell<Vec<Rc<[u8]>>>);

impl Pages {
    /// Takes note of a page that is about to be sent. False: too much is on its way already.
    pub(crate) fn admit(&self, page: &Rc<[u8]>) -> bool {
        if page.len() < COUNTED_FROM {
            return true;
        }
        self.let_go();
        let pages = &mut *self.0.borrow_mut();
        let fits = pages.iter().map(|other| other.len()).sum::<usize>() + page.len() <= BYTES_MAX;
        if fits {
            pages.push(Rc::clone(page));
        }
        fits
    }

    /// Lets go of those that nobody else holds any more.
    pub(crate) fn let_go(&self) {
        self.0.borrow_mut().retain(|page| Rc::strong_count(page) > 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_much_is_on_its_way_at_a_time() {
        let pages = Pages::default();
        let page = |bytes: usize| -> Rc<[u8]> { vec![0; bytes].into() };
        let mut sent: Vec<Rc<[u8]>> = (0..4).map(|_| page(8 << 20)).collect();
        assert!(sent.iter().all(|page| pages.admit(page)));
        assert!(!pages.admit(&page(COUNTED_FROM)) && pages.admit(&page(COUNTED_FROM - 1)));
        sent.pop();
        assert!(!pages.admit(&page((8 << 20) + 1)) && pages.admit(&page(8 << 20)));
        sent.clear();
        pages.let_go();
        assert!(pages.0.borrow().is_empty());
    }
}
