//! In which order branches go in, and why. Pure.

pub use crate::swarm::config::MergeOrder as Order;

/// The order of branches as places, each with the reason for its place. `since` says when
/// each was finished; `clashes` which pairs conflict.
pub fn order(how: Order, since: &[i64], clashes: &[(usize, usize)]) -> Vec<(usize, String)> {
    let mut left: Vec<usize> = (0..since.len()).collect();
    match how {
        Order::Given => left
            .into_iter()
            .map(|place| (place, "as named".to_owned()))
            .collect(),
        Order::Oldest => {
            left.sort_by_key(|place| since[*place]);
            left.into_iter()
                .map(|place| (place, "waits longest".to_owned()))
                .collect()
        }
        Order::LeastConflict => least_conflict(since, clashes),
    }
}

/// Greedily: of those that can still land, the one that keeps the fewest others from landing.
fn least_conflict(since: &[i64], clashes: &[(usize, usize)]) -> Vec<(usize, String)> {
    let partners = |place: usize| {
        clashes.iter().filter_map(move |(a, b)| match place {
            place if place == *a => Some(*b),
            place if place == *b => Some(*a),
            _ => None,
        })
    };
    let mut free: Vec<usize> = (0..since.len()).collect();
    let mut stopped: Vec<(usize, usize)> = Vec::new();
    let mut ordered = Vec::with_capacity(free.len());
    while let Some(best) = free.iter().copied().min_by_key(|place| {
        let ahead = partners(*place).filter(|other| free.contains(other));
        (ahead.count(), since[*place], *place)
    }) {
        free.retain(|place| *place != best);
        let kept: Vec<usize> = partners(best)
            .filter(|other| free.contains(other))
            .collect();
        free.retain(|place| !kept.contains(place));
        ordered.push((
            best,
            match kept.len() {
                0 => "keeps none of the others from landing".to_owned(),
                n => format!("keeps {n} from landing, the fewest"),
            },
        ));
        stopped.extend(kept.into_iter().map(|place| (place, ordered.len())));
    }
    stopped.sort_by_key(|(place, _)| since[*place]);
    let last = stopped
        .into_iter()
        .map(|(place, by)| (place, format!("conflicts with number {by}")));
    ordered.extend(last);
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(ordered: &[(usize, String)]) -> Vec<usize> {
        ordered.iter().map(|(place, _)| *place).collect()
    }

    #[test]
    fn the_oldest_goes_first_and_ties_stay_as_they_were() {
        assert_eq!(
            places(&order(Order::Oldest, &[5, 3, 5, 1], &[])),
            [3, 1, 0, 2]
        );
        assert_eq!(places(&order(Order::Given, &[5, 3], &[(0, 1)])), [0, 1]);
    }

    #[test]
    fn one_that_conflicts_with_many_goes_last_so_that_the_many_land() {
        // 0 is the oldest and conflicts with 1, 2 and 3, which go together.
        let ordered = order(
            Order::LeastConflict,
            &[1, 2, 3, 4],
            &[(0, 1), (0, 2), (3, 0)],
        );
        assert_eq!(places(&ordered), [1, 2, 3, 0]);
        assert_eq!(ordered[0].1, "keeps 1 from landing, the fewest");
        assert_eq!(ordered[3].1, "conflicts with number 1");
        assert_eq!(
            places(&order(Order::LeastConflict, &[1, 2], &[(0, 1)])),
            [0, 1],
            "between equals the older one"
        );
    }
}
