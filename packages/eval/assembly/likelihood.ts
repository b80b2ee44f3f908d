import { expSum, maximum } from './softmax';

/** −ln softmax(logits)[target] of each row; 0 where the target is negative. The sum over the vocabulary is in f64. */
export function negativeLogLikelihood(rows: i32, logits: usize, targets: usize, nll: usize, vocabulary: i32): void {
  for (let r = 0; r < rows; r++) {
    const target = load<i32>(targets + ((<usize>r) << 2));
    let value: f64 = 0;
    if (target >= vocabulary) value = NaN;
    else if (target >= 0) {
      const row = logits + ((<usize>r * <usize>vocabulary) << 2);
      const top = maximum(row, vocabulary);
      value = Math.log(expSum(row, vocabulary, top)) + (<f64>top - <f64>load<f32>(row + ((<usize>target) << 2)));
    }
    store<f32>(nll + ((<usize>r) << 2), <f32>value);
  }
}
