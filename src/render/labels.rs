//! Labels beside dots, where they hide nothing.

/// Where a label stands, seen from its dot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
    Above,
    Below,
}

/// A dot of a picture, in pixels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dot {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) radius: f64,
    /// How wide its label is.
    pub(super) wide: f64,
    /// Where its label stands if there is room.
    pub(super) side: Side,
}

/// The space between a dot and its label.
pub(super) const GAP: f64 = 3.;
/// How tall a label is.
const TALL: f64 = 11.;

/// A label's box: left, top, right and bottom.
type Place = [f64; 4];

impl Dot {
    fn place(&self, side: Side) -> Place {
        let away = self.radius + GAP;
        let (left, top) = match side {
            Side::Left => (self.x - away - self.wide, self.y - 0.5 * TALL),
            Side::Right => (self.x + away, self.y - 0.5 * TALL),
            Side::Above => (self.x - 0.5 * self.wide, self.y - away - TALL),
            Side::Below => (self.x - 0.5 * self.wide, self.y + away),
        };
        [left, top, left + self.wide, top + TALL]
    }

    fn hides([left, top, right, bottom]: Place, dot: &Dot) -> bool {
        let (x, y) = (dot.x.clamp(left, right), dot.y.clamp(top, bottom));
        (x - dot.x).hypot(y - dot.y) < dot.radius
    }
}

/// The side of each dot's label; `None` if it has room on none. Larger dots choose first. `picture` is left, top, right and
/// bottom of what may be written on.
pub(super) fn sides(dots: &[Dot], picture: Place) -> Vec<Option<Side>> {
    let mut order: Vec<usize> = (0..dots.len()).collect();
    order.sort_by(|a, b| dots[*b].radius.total_cmp(&dots[*a].radius));
    let mut sides = vec![None; dots.len()];
    let mut taken: Vec<Place> = Vec::new();
    for index in order {
        let dot = &dots[index];
        let free = |side: &Side| {
            let place = dot.place(*side);
            let inside =
                place[0] >= picture[0] && place[1] >= picture[1] && place[2] <= picture[2] && place[3] <= picture[3];
            inside
                && !taken.iter().any(|other| overlap(place, *other))
                && !dots.iter().any(|dot| Dot::hides(place, dot))
        };
        let side = [dot.side, Side::Right, Side::Left, Side::Above, Side::Below].into_iter().find(free);
        taken.extend(side.map(|side| dot.place(side)));
        sides[index] = side;
    }
    sides
}

fn overlap(one: Place, other: Place) -> bool {
    one[0] < other[2] && other[0] < one[2] && one[1] < other[3] && other[1] < one[3]
}

#[cfg(test)]
mod tests {
    use super::*;

    const PICTURE: Place = [0., 0., 500., 300.];

    fn dot(x: f64, y: f64, radius: f64, side: Side) -> Dot {
        Dot { x, y, radius, wide: 60., side }
    }

    #[test]
    fn a_label_with_room_stands_where_it_should() {
        let dots = [dot(100., 100., 10., Side::Right), dot(400., 100., 10., Side::Left)];
        assert_eq!(sides(&dots, PICTURE), [Some(Side::Right), Some(Side::Left)]);
    }

    #[test]
    fn a_label_gives_way_to_a_dot_and_to_the_edge() {
        let dots =
            [dot(100., 100., 18., Side::Right), dot(130., 100., 10., Side::Right), dot(10., 20., 5., Side::Left)];
        assert_eq!(sides(&dots, PICTURE), [Some(Side::Left), Some(Side::Right), Some(Side::Right)]);
    }

    #[test]
    fn no_label_hides_another_or_a_dot() {
        let dots: Vec<Dot> = (0..60)
            .map(|index| {
                let (x, y) = (f64::from(index * 37 % 61) * 8., f64::from(index * 23 % 59) * 5.);
                dot(x, y, 4. + f64::from(index % 15), Side::Right)
            })
            .collect();
        let sides = sides(&dots, PICTURE);
        let places: Vec<Place> = dots.iter().zip(&sides).filter_map(|(dot, side)| Some(dot.place((*side)?))).collect();
        assert!(places.len() > 5 && places.len() < 60, "{}", places.len());
        for (index, place) in places.iter().enumerate() {
            assert!(!dots.iter().any(|dot| Dot::hides(*place, dot)) && place[0] >= 0. && place[2] <= 500.);
            assert!(!places[..index].iter().any(|other| overlap(*place, *other)));
        }
    }
}
