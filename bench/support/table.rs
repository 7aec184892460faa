//! The forms in which everything is printed.

/// Rows: what, its unit, and every figure that was measured.
#[derive(Default)]
pub struct Table(Vec<(String, &'static str, Vec<f64>)>);

impl Table {
    /// Without figures there is no row.
    pub fn row(&mut self, what: impl Into<String>, unit: &'static str, mut figures: Vec<f64>) {
        figures.sort_by(f64::total_cmp);
        if !figures.is_empty() {
            self.0.push((what.into(), unit, figures));
        }
    }

    pub fn one(&mut self, what: impl Into<String>, unit: &'static str, figure: f64) {
        self.row(what, unit, vec![figure]);
    }

    /// The quotients of figures that were measured one after the other in the same run.
    pub fn ratio(&mut self, what: impl Into<String>, over: &[f64], under: &[f64]) {
        let quotients = over.iter().zip(under).map(|(over, under)| over / under);
        self.row(what, "x", quotients.collect());
    }

    pub fn print(&self) {
        let widest = self.0.iter().map(|(what, ..)| what.len()).max();
        let width = widest.unwrap_or(0).max(4);
        println!(
            "| {:<width$} | {:<6} | {:>9} | {:>9} | {:>9} | {:>9} | {:>7} |",
            "what", "unit", "median", "p99", "min", "max", "of"
        );
        println!(
            "| {0:-<width$} | {0:-<6} | {0:->8}: | {0:->8}: | {0:->8}: | {0:->8}: | {0:->6}: |",
            ""
        );
        for (what, unit, figures) in &self.0 {
            let [median, p99, min, max] =
                [0.5, 0.99, 0.0, 1.0].map(|share| plain(quantile(figures, share)));
            let count = figures.len();
            println!(
                "| {what:<width$} | {unit:<6} | {median:>9} | {p99:>9} | {min:>9} | {max:>9} | {count:>7} |"
            );
        }
    }
}

/// The figure below which this share of the sorted figures lies.
pub fn quantile(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    let at = (last as f64 * share).round() as usize;
    sorted.get(at).copied().unwrap_or(f64::NAN)
}

/// Three digits that mean something.
pub fn plain(figure: f64) -> String {
    match figure.abs() {
        _ if figure.is_nan() => "-".to_owned(),
        0.0 => "0".to_owned(),
        size if size >= 100.0 || figure.fract() == 0.0 => format!("{figure:.0}"),
        size if size >= 10.0 => format!("{figure:.1}"),
        size if size >= 1.0 => format!("{figure:.2}"),
        _ => format!("{figure:.3}"),
    }
}

/// Lines of words, the first of them the heads of the columns.
pub fn print_lines<const N: usize>(lines: &[[String; N]]) {
    let width = |column: usize| lines.iter().map(|line| line[column].len()).max();
    let widths: Vec<usize> = (0..N).map(|column| width(column).unwrap_or(0)).collect();
    for (number, line) in lines.iter().enumerate() {
        let cells = line.iter().zip(&widths);
        let cells: Vec<_> = cells
            .map(|(cell, &width)| format!("{cell:<width$}"))
            .collect();
        println!("| {} |", cells.join(" | "));
        if number == 0 {
            let rules = widths.iter().map(|&width| "-".repeat(width));
            println!("| {} |", rules.collect::<Vec<_>>().join(" | "));
        }
    }
}
