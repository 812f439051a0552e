//! Results that are shown through the table or chart that they make.

/// `shown_as! { Result => function; }`: the function makes the figure.
macro_rules! shown_as {
    ($($result:ty => $figure:expr;)+) => {
        $(impl $crate::render::Figure for $result {
            fn html(&self) -> String {
                let figure: fn(&$result) -> _ = $figure;
                figure(self).html()
            }

            fn text(&self) -> String {
                let figure: fn(&$result) -> _ = $figure;
                figure(self).text()
            }
        })+
    };
}

pub(super) use shown_as;
