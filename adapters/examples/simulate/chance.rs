//! Reproducible chance: splitmix64 (Steele, Lea and Flood, 2014).

pub struct Chance(u64);

impl Chance {
    /// One stream for each run.
    pub fn of(seed: u64, table: u64, run: u64) -> Self {
        let mut chance = Self(seed ^ (table << 48) ^ run.wrapping_mul(0xd134_2543_de82_ef95));
        chance.draw();
        chance
    }

    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to 1.
    pub fn uniform(&mut self) -> f64 {
        (self.draw() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub fn happens(&mut self, rate: f64) -> bool {
        self.uniform() < rate
    }

    /// By Box and Muller.
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }
}
