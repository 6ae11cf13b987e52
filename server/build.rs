//! The page is embedded when it has been built; a first build of it has to reach the binary too.

fn main() {
    let dist = "../web/app/dist/page";
    let watched = if std::path::Path::new(dist).exists() { dist } else { "../web/app" };
    println!("cargo:rerun-if-changed={watched}");
}
