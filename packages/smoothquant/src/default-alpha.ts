/** Migration strengths by architecture, from the paper and its reference implementation's table of models (arXiv 2211.10438, section 5). */
const PUBLISHED: Readonly<Record<string, number>> = {
  bloom: 0.5,
  falcon: 0.6,
  llama: 0.85,
  mistral: 0.8,
  mixtral: 0.8,
  opt: 0.5,
};

/** The migration strength for an architecture: the published one, else 0.5. */
export function defaultAlpha(architecture: string): number {
  return PUBLISHED[architecture] ?? 0.5;
}
