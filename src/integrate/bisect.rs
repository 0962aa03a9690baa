//! Finding the branch that breaks a union: which prefix to test next. Pure.

/// What is known about the prefixes of a chain of merges. Prefix 0 is the base, prefix `n` the
/// whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bisect {
    /// The longest prefix that passed; 0, the base, is believed to until something else is known.
    pub green: usize,
    /// The shortest prefix that failed.
    pub red: usize,
}

impl Bisect {
    /// After the whole chain of `length` merges failed.
    pub fn after_red(length: usize) -> Bisect {
        Bisect {
            green: 0,
            red: length,
        }
    }

    /// The prefix to test next; none when the culprit is known: the merge that made
    /// [`Bisect::red`] out of the prefix before it.
    pub fn next(&self) -> Option<usize> {
        (self.red > self.green + 1).then(|| self.green + (self.red - self.green) / 2)
    }

    /// Takes in what a test of `prefix` showed.
    pub fn tested(&mut self, prefix: usize, passed: bool) {
        if passed {
            self.green = prefix;
        } else {
            self.red = prefix;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_culprit_is_found_in_at_most_log2_n_tests() {
        for length in 1..200_usize {
            for culprit in 1..=length {
                let mut bisect = Bisect::after_red(length);
                let mut tests = 0;
                while let Some(prefix) = bisect.next() {
                    bisect.tested(prefix, prefix < culprit);
                    tests += 1;
                }
                assert_eq!((bisect.green, bisect.red), (culprit - 1, culprit));
                assert!(
                    tests <= length.next_power_of_two().ilog2(),
                    "{length} {culprit}"
                );
            }
        }
    }
}
