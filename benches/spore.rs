//! How fast spores are read and written, in bytes a second: `cargo bench --bench spore`.

#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sporekit::spore;

/// A spore of a mebibyte: prose, code, symbols, and the blocks of the examples.
fn large() -> String {
    let request = include_str!("../examples/request.md");
    let (top, body) = request.split_once("\n\nMy").unwrap();
    let body = format!("My{body}\n## Next ✅\n\n```bash\n# a comment\nls -l\n```\n\n");
    let mut file = format!("{top}\n\n{}", body.repeat((1 << 20) / body.len()));
    file.truncate(file.trim_end().len());
    file.push('\n');
    file
}

/// What a program makes of `text` that takes UTF-8 for Latin-1.
fn damaged(text: &str) -> String {
    text.bytes().map(char::from).collect()
}

fn spores(c: &mut Criterion) {
    let file = large();
    let damaged = damaged(&file);
    let message = spore::read(file.as_bytes()).spore;
    let hostile = "```\n`` `\n~~\n".repeat((1 << 20) / 11);
    let mut group = c.benchmark_group("spore");
    group.sample_size(20);
    group.throughput(Throughput::Bytes(file.len() as u64));
    group.bench_function("read", |b| {
        b.iter(|| spore::read(black_box(file.as_bytes())))
    });
    group.bench_function("read mojibake", |b| {
        b.iter(|| spore::read(black_box(damaged.as_bytes())))
    });
    group.bench_function("read hostile", |b| {
        b.iter(|| spore::read(black_box(hostile.as_bytes())))
    });
    group.bench_function("write", |b| {
        b.iter(|| spore::write(black_box(&message)).unwrap())
    });
    group.throughput(Throughput::Bytes(spore::envelope::HEAD as u64));
    group.bench_function("head", |b| {
        b.iter(|| spore::envelope::head(black_box(file.as_bytes())))
    });
    group.finish();
}

criterion_group!(benches, spores);
criterion_main!(benches);
