//! What most of its owners never need, and is made when one of them does.

use alloc::boxed::Box;

use crate::crypto::secret::on_erased_stack;

/// A value in a box that is there from its first use on.
#[derive(Clone, Debug)]
pub(crate) struct OnDemand<T>(Option<Box<T>>);

impl<T> Default for OnDemand<T> {
    fn default() -> Self {
        Self::NONE
    }
}

impl<T> OnDemand<T> {
    /// Not needed so far.
    pub(crate) const NONE: Self = Self(None);

    /// It, if it is there.
    pub(crate) fn get(&self) -> Option<&T> {
        self.0.as_deref()
    }

    /// It, if it is there, to be changed.
    pub(crate) fn get_mut(&mut self) -> Option<&mut T> {
        self.0.as_deref_mut()
    }

    /// It is not needed any more.
    pub(crate) fn clear(&mut self) {
        self.0 = None;
    }
}

impl<T: Default> OnDemand<T> {
    /// It, made if it is not there: where its gaps hold nothing of a key.
    #[inline]
    pub(crate) fn make(&mut self) -> &mut T {
        self.0.get_or_insert_with(|| on_erased_stack(Box::default))
    }
}
