import { HARDLY, LARGE, NOTICEABLE, recipeNames } from './advice/advice.js';
import type { ReportData } from './data.js';
import { percent } from './plots/draw.js';

/** The report in one sentence. */
export function summarize(data: ReportData): string {
  const { model, size, quality } = data;
  const { quantizer, scheme, transforms } = recipeNames(data);
  const how = [...transforms, quantizer].filter(Boolean).join(' + ');
  const grid = data.target ? 'Types chosen by measured loss' : scheme;
  const made = grid ? `${grid}${how ? `${data.target ? ',' : ' by'} ${how}` : ''}` : 'This model';
  const smaller = size.baseBytes ? `, ${(size.baseBytes / size.bytes).toFixed(2)} times smaller than ${model.base ?? 'its base'}` : '';
  return `${made}: ${megabytes(size.bytes)} (${size.bitsPerWeight.toFixed(2)} bits per weight)${smaller}. ${verdict(quality)}`;
}

function verdict(quality: ReportData['quality']): string {
  if (!quality) return 'Its quality was not measured.';
  const { divergence, perplexity, basePerplexity } = quality;
  const ppl = basePerplexity
    ? `perplexity ${basePerplexity.value.toFixed(2)} → ${perplexity.value.toFixed(2)}`
    : `perplexity ${perplexity.value.toFixed(2)}`;
  if (!divergence) return `On ${quality.text.name}: ${ppl}.`;
  const kl = divergence.mean.value;
  const words =
    kl < HARDLY
      ? 'Its predictions can hardly be told from full precision'
      : kl < NOTICEABLE
        ? 'Its predictions are close to full precision'
        : kl < LARGE
          ? 'Its predictions differ noticeably from full precision'
          : 'Its predictions differ strongly from full precision';
  return `${words}: ${ppl}, mean KL divergence ${kl.toPrecision(3)} nats, the same most likely token at ${percent(divergence.sameTop.value)} of positions.`;
}

/** `1.23 GB`, decimal. */
export function megabytes(bytes: number): string {
  return bytes >= 1e9
    ? `${(bytes / 1e9).toFixed(2)} GB`
    : bytes >= 1e6
      ? `${(bytes / 1e6).toFixed(2)} MB`
      : `${(bytes / 1e3).toFixed(1)} kB`;
}
