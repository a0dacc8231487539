//! Rows under stable numbers, up to a capacity.

/// Rows of which others keep the numbers. Memory for all is reserved at the start, and touched as it is used.
pub(super) struct Slab<T> {
    rows: Vec<Option<T>>,
    free: Vec<u32>,
    capacity: usize,
}

impl<T> Slab<T> {
    pub(super) fn new(capacity: usize) -> Self {
        Self { rows: Vec::with_capacity(capacity), free: Vec::with_capacity(capacity), capacity }
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    pub(super) fn is_full(&self) -> bool {
        self.free.is_empty() && self.rows.len() >= self.capacity
    }

    /// The row's number; `None` where all are taken.
    pub(super) fn insert(&mut self, row: T) -> Option<u32> {
        if self.is_full() {
            return None;
        }
        let number = self.free.pop().unwrap_or(self.rows.len() as u32);
        match self.rows.get_mut(number as usize) {
            Some(place) => *place = Some(row),
            None => self.rows.push(Some(row)),
        }
        Some(number)
    }

    pub(super) fn remove(&mut self, number: u32) -> Option<T> {
        let row = self.rows.get_mut(number as usize)?.take()?;
        self.free.push(number);
        Some(row)
    }

    #[inline]
    pub(super) fn row(&self, number: u32) -> Option<&T> {
        self.rows.get(number as usize)?.as_ref()
    }

    pub(super) fn row_mut(&mut self, number: u32) -> Option<&mut T> {
        self.rows.get_mut(number as usize)?.as_mut()
    }

    /// The rows from this number on.
    pub(super) fn from(&self, first: u32) -> impl Iterator<Item = (u32, &T)> {
        let rows = self.rows.get(first as usize..).unwrap_or_default();
        rows.iter().enumerate().filter_map(move |(ahead, row)| Some((first + ahead as u32, row.as_ref()?)))
    }

    /// All rows in the order of their numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.rows.iter().enumerate().filter_map(|(number, row)| Some((number as u32, row.as_ref()?)))
    }
}
