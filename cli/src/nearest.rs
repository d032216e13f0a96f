//! What was probably meant by a word that is none of the known ones.

/// The known word with the fewest typing errors, at most one in three letters.
pub(crate) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let letters = word.chars().count();
    if letters > LETTERS_MAX {
        return None;
    }
    let by_distance = known.map(|known| (distance(word, known), known)).min()?;
    Some(by_distance).filter(|&(errors, _)| errors <= letters / 3).map(|(_, near)| near)
}

/// Levenshtein distance in characters: inserted, lost and replaced ones each count one.
fn distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.chars().count()).collect();
    for (i, l) in left.chars().enumerate() {
        let (mut diagonal, mut last) = (i, i + 1);
        for (r, cell) in right.chars().zip(row.iter_mut().skip(1)) {
            let above = *cell;
            last = (diagonal + usize::from(l != r)).min(above + 1).min(last + 1);
            diagonal = above;
            *cell = last;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

/// Longer words get no suggestion; the longest flag has 18 letters.
const LETTERS_MAX: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_is_one_letter_in_three() {
        let known = ["config", "client-config", "fetch"];
        let table = [
            ("confg", Some("config")),
            ("clientconfig", Some("client-config")),
            ("ftech", None),
            ("xy", None),
            ("", None),
            (&"config".repeat(9), None),
        ];
        for (word, expected) in table {
            assert_eq!(nearest(word, known.into_iter()), expected, "{word}");
        }
    }
}
