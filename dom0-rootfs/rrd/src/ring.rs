// SPDX-License-Identifier: MIT OR Apache-2.0
//! The newest values of a series, so many and no more.

/// A ring. Memory comes with the values, up to what all of them need.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Ring {
    values: Vec<f32>,
    /// Index of the oldest, once the ring is full.
    oldest: usize,
}

impl Ring {
    /// A ring with these values, the oldest first.
    pub(crate) fn of(values: Vec<f32>) -> Ring {
        Ring { values, oldest: 0 }
    }

    /// Adds a value to a ring of `room`; a full one loses its oldest.
    pub(crate) fn push(&mut self, value: f32, room: usize) {
        if self.values.len() < room {
            if self.values.len() == self.values.capacity() {
                let more = self.values.len().max(8).min(room - self.values.len());
                self.values.reserve_exact(more);
            }
            self.values.push(value);
        } else if let Some(oldest) = self.values.get_mut(self.oldest) {
            *oldest = value;
            self.oldest = (self.oldest + 1) % room;
        }
    }

    /// The value so many places before the newest, which is 0.
    pub(crate) fn back(&self, places: usize) -> Option<f32> {
        let index = self.values.len().checked_sub(places + 1)?;
        self.values.get((self.oldest + index) % self.values.len()).copied()
    }

    /// All values, the oldest first.
    pub(crate) fn values(&self) -> impl Iterator<Item = f32> + '_ {
        let (late, early) = self.values.split_at(self.oldest);
        early.iter().chain(late).copied()
    }

    /// How many values there are.
    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    /// Takes the newest values away.
    pub(crate) fn drop_newest(&mut self, count: usize) {
        self.values.rotate_left(self.oldest);
        self.oldest = 0;
        self.values.truncate(self.values.len().saturating_sub(count));
    }

    /// Bytes on the heap.
    pub(crate) fn bytes(&self) -> usize {
        self.values.capacity() * size_of::<f32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_stay() {
        let mut ring = Ring::default();
        for value in 0..25u8 {
            ring.push(value.into(), 10);
        }
        let all: Vec<f32> = ring.values().collect();
        assert_eq!(all, (15..25u8).map(f32::from).collect::<Vec<_>>());
        assert_eq!((ring.back(0), ring.back(9), ring.back(10)), (Some(24.0), Some(15.0), None));
        assert_eq!(ring.bytes(), 40);
        ring.drop_newest(3);
        assert_eq!((ring.back(0), ring.len()), (Some(21.0), 7));
        ring.push(9.0, 10);
        assert_eq!((ring.back(0), ring.back(1), ring.back(7)), (Some(9.0), Some(21.0), Some(15.0)));
        ring.drop_newest(100);
        assert_eq!((ring.back(0), ring.len()), (None, 0));
    }
}
