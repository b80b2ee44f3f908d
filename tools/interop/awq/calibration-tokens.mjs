// Writes the calibration tokens of `--calibration self --samples 64 --length 128 --seed SEED` (1) as JSON, for another implementation to use.
//   node tools/interop/awq/calibration-tokens.mjs MODEL TOKENS.json [SEED]
import { writeFileSync } from 'node:fs';
import { createCpuBackend } from '@calibrant/backend-cpu';
import { calibrationSet } from '@calibrant/calibrators';
import { openModelFolder } from '@calibrant/checkpoint';
import { generate, openTransformer } from '@calibrant/transformer';

const [folder, out, seed = '1'] = process.argv.slice(2);
const backend = await createCpuBackend();
const transformer = openTransformer(await openModelFolder(folder), backend);
const { vocabSize, bosTokenId } = transformer.description;
const generator = { vocabSize, bosTokenId, generate: (wanted) => generate(transformer, wanted) };
const { sequences } = await calibrationSet({ source: 'self', samples: 64, length: 128, seed: Number(seed) }, { generator });
writeFileSync(out, JSON.stringify(sequences.map((ids) => [...ids])));
await backend.close();
