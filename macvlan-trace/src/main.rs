fn main() {
    println!("macvlan-trace");
}
