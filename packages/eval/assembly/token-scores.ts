import { expSums, indexOf, maximum, squareSum } from './softmax';

/** For each row −ln p[target], the first most likely column, its probability, and Σ p². Sums over the vocabulary are in f64. */
export function tokenScores(
  rows: i32,
  logits: usize,
  targets: usize,
  nll: usize,
  top: usize,
  confidence: usize,
  squares: usize,
  vocabulary: i32,
): void {
  for (let r = 0; r < rows; r++) {
    const at = (<usize>r) << 2;
    const target = load<i32>(targets + at);
    const row = logits + ((<usize>r * <usize>vocabulary) << 2);
    const largest = maximum(row, vocabulary);
    const sum = expSums(row, vocabulary, largest);
    let value: f64 = 0;
    if (target >= vocabulary) value = NaN;
    else if (target >= 0) value = Math.log(sum) + (<f64>largest - <f64>load<f32>(row + ((<usize>target) << 2)));
    store<f32>(nll + at, <f32>value);
    store<i32>(top + at, indexOf(row, vocabulary, largest));
    store<f32>(confidence + at, <f32>(1 / sum));
    store<f32>(squares + at, <f32>(squareSum() / (sum * sum)));
  }
}
