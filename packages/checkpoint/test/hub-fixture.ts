import { join } from 'node:path';
import { type HubModelOptions, openHubModel } from '@calibrant/checkpoint';
import { afterEach, beforeEach } from '@jest/globals';
import { gitSha1, type MockHub, type MockRepo, mockHub, sha256 } from './mock-hub.js';
import { safetensorsBytes } from './safetensors-bytes.js';
import { temporaryFolder } from './temporary-folder.js';

export const COMMIT = 'a'.repeat(40);
export const OLDER = 'b'.repeat(40);
export const text = (value: string) => new TextEncoder().encode(value);
export const weights = safetensorsBytes(
  { w: { dtype: 'U8', shape: [300_000], data_offsets: [0, 300_000] } },
  Uint8Array.from({ length: 300_000 }, (_, i) => (i * 7 + (i >> 9)) & 255),
);
export const config = text('{"model_type":"llama"}');
export const single: MockRepo = {
  files: {
    'config.json': config,
    'tokenizer.json': text('{}'),
    LICENSE: text('free'),
    'empty.json': text(''),
    'model.safetensors': weights,
    'consolidated.safetensors': weights.slice(0, 100),
    'pytorch_model.bin': text('pickle'),
    'README.md': text('# model'),
  },
  refs: { main: COMMIT, 'refs/pr/1': OLDER },
  large: ['model.safetensors'],
};

// What the machine of the test has set must not matter.
const VARIABLES = [
  'HF_TOKEN',
  'HUGGING_FACE_HUB_TOKEN',
  'HF_TOKEN_PATH',
  'HF_HOME',
  'HF_HUB_CACHE',
  'HUGGINGFACE_HUB_CACHE',
  'HF_ENDPOINT',
  'HF_HUB_OFFLINE',
];
let saved: Record<string, string | undefined>;
export let cacheFolder: string;
/** What {@link startHub} started last. */
export let hub: MockHub;
beforeEach(async () => {
  saved = Object.fromEntries(VARIABLES.map((name) => [name, process.env[name]]));
  for (const name of VARIABLES) delete process.env[name];
  process.env['HF_HOME'] = await temporaryFolder();
  cacheFolder = join(process.env['HF_HOME'], 'hub');
});
afterEach(() => {
  for (const name of VARIABLES) {
    if (saved[name] === undefined) delete process.env[name];
    else process.env[name] = saved[name];
  }
});

export const open = (repo: string, options: HubModelOptions = {}) =>
  openHubModel(repo, { hubUrl: hub.url, retryDelay: 1, retries: 2, ...options });
export const refusal = (repo: string, options: HubModelOptions = {}) =>
  open(repo, options).then(
    () => {
      throw new Error('expected a refusal');
    },
    (error) => error,
  );
export const blob = (bytes: Uint8Array, large = true) =>
  join(cacheFolder, 'models--org--model', 'blobs', large ? sha256(bytes) : gitSha1(bytes));

/** Starts a Hub that {@link open} asks. */
export async function startHub(repos: Parameters<typeof mockHub>[0]): Promise<void> {
  hub = await mockHub(repos);
}
