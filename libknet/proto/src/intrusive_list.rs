//! Doubly linked lists whose links live inside the elements of a slab: O(1) everywhere, no pointer, no
//! allocation. A node is named by its index. The elements and the lists belong to the caller, who keeps
//! track of which node is in which list.

/// Stands for "no node".
const NIL: u32 = u32::MAX;

/// The neighbours of a node. One element may hold several, for lists of different purposes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Links {
    prev: u32,
    next: u32,
}

impl Links {
    pub(crate) const UNLINKED: Self = Self { prev: NIL, next: NIL };

    /// The node after this one, or an index that no slab reaches.
    pub(crate) const fn next(self) -> u32 {
        self.next
    }
}

/// A list: its ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct List {
    head: u32,
    tail: u32,
}

impl List {
    pub(crate) const EMPTY: Self = Self { head: NIL, tail: NIL };

    /// The first node, or an index that no slab reaches.
    pub(crate) const fn head(self) -> u32 {
        self.head
    }

    pub(crate) const fn is_empty(self) -> bool {
        self.head == NIL
    }

    /// Adds a node that is in no list of this purpose.
    pub(crate) fn push_back<T>(&mut self, slab: &mut [T], links: fn(&mut T) -> &mut Links, node: u32) {
        if let Some(element) = slab.get_mut(node as usize) {
            *links(element) = Links {
                prev: self.tail,
                next: NIL,
            };
            match slab.get_mut(self.tail as usize) {
                Some(tail) => links(tail).next = node,
                None => self.head = node,
            }
            self.tail = node;
        }
    }

    /// Takes out a node that is in this list.
    pub(crate) fn remove<T>(&mut self, slab: &mut [T], links: fn(&mut T) -> &mut Links, node: u32) {
        let Some(element) = slab.get_mut(node as usize) else {
            return;
        };
        let Links { prev, next } = core::mem::replace(links(element), Links::UNLINKED);
        match slab.get_mut(prev as usize) {
            Some(element) => links(element).next = next,
            None => self.head = next,
        }
        match slab.get_mut(next as usize) {
            Some(element) => links(element).prev = prev,
            None => self.tail = prev,
        }
    }

    /// An element of this list has another index from now on, where it is already.
    pub(crate) fn renumber<T>(&mut self, slab: &mut [T], links: fn(&mut T) -> &mut Links, node: u32) {
        let Some(element) = slab.get_mut(node as usize) else {
            return;
        };
        let Links { prev, next } = *links(element);
        match slab.get_mut(prev as usize) {
            Some(element) => links(element).next = node,
            None => self.head = node,
        }
        match slab.get_mut(next as usize) {
            Some(element) => links(element).prev = node,
            None => self.tail = node,
        }
    }

    /// Takes out the first node.
    pub(crate) fn pop_front<T>(&mut self, slab: &mut [T], links: fn(&mut T) -> &mut Links) -> Option<u32> {
        let head = self.head;
        if head == NIL {
            return None;
        }
        self.remove(slab, links, head);
        Some(head)
    }
}
