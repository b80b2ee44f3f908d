import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type ModelFacts, type OutputTensor, type Tensor, tensor } from '@calibrant/core';
import { BLOCK_TYPES, type BlockType, blockType, ggufSchemes, readGguf } from '@calibrant/gguf-format';
import { runWasm } from '@calibrant/plugin-kit';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { assignTypes, type TypeChoices } from '../src/schemes/assign-types.js';
import type { Mixture, TypeName } from '../src/schemes/mixture.js';
import { MIXTURES } from '../src/schemes/mixtures.js';
import { needsImportance } from '../src/schemes/needs-importance.js';
import { typeForRow } from '../src/schemes/tensor-types.js';
import { libraryFolder } from './ggml-library.js';
import { type LlamaQuantizeOptions, loadLlamaQuantize } from './llama-quantize.js';
import { memorySource } from './memory-files.js';
import { type ShapeModel, shapeTensors, writeShapeModel } from './shape-model.js';

const wide = { columns: 256, inner: 256 };
const MODELS: Readonly<Record<string, ShapeModel>> = {
  'four queries per key': { architecture: 'llama', layers: 17, heads: 16, keyHeads: 4, ...wide },
  'a key per query, tied': { architecture: 'llama', layers: 9, heads: 16, keyHeads: 16, tied: true, ...wide },
  'rows that 256 does not divide': { architecture: 'qwen2', layers: 8, heads: 4, keyHeads: 2, columns: 96, inner: 160 },
  'tied rows that 256 does not divide': { architecture: 'qwen2', layers: 2, heads: 4, keyHeads: 1, columns: 96, inner: 512, tied: true },
  'eight experts': { architecture: 'llama', layers: 8, heads: 16, keyHeads: 4, experts: 8, ...wide },
  'four experts': { architecture: 'llama', layers: 9, heads: 16, keyHeads: 8, experts: 4, ...wide },
  Falcon: { architecture: 'falcon', layers: 17, heads: 4, keyHeads: 1, ...wide },
  'fused projections': { architecture: 'gptneox', layers: 8, heads: 4, keyHeads: 4, ...wide },
};
const LARGE: Readonly<Record<string, ShapeModel>> = {
  'a Llama 70B': { architecture: 'llama', layers: 80, heads: 8, keyHeads: 1, ...wide },
  'a Llama 65B': { architecture: 'llama', layers: 80, heads: 2, keyHeads: 2, ...wide },
  'a Qwen 72B': { architecture: 'qwen2', layers: 80, heads: 8, keyHeads: 1, ...wide },
};
const ALL = { ...MODELS, ...LARGE };

/** config.json's name of an architecture. */
const MODEL_TYPES: Readonly<Record<string, string>> = { gptneox: 'gpt_neox' };

const facts = (model: ShapeModel, tensors: readonly OutputTensor[], importance: boolean): ModelFacts => ({
  config: { model_type: MODEL_TYPES[model.architecture] ?? model.architecture },
  architecture: model.architecture,
  tensors: new Map(),
  linears: new Set(),
  ...(importance ? { importance: new Set(tensors.map(({ name }) => name)) } : {}),
});

const mixtureNamed = (name: string) => MIXTURES.find((mixture) => mixture.name === name) as Mixture;

function typesOf(mixture: string, model: ShapeModel, choices: TypeChoices = {}, importance = false): Map<string, TypeName> {
  const tensors = shapeTensors(model);
  return assignTypes(tensors, facts(model, tensors, importance), mixtureNamed(mixture), choices);
}

/** Encodes a tensor, each expert with importance of its own. */
function encode(type: BlockType, shape: readonly number[], values: Float32Array = new Float32Array(0), weights?: Float32Array): Buffer {
  const columns = shape.at(-1) ?? 1;
  const experts = shape.length > 2 ? shape[0] : 1;
  const part = <T extends Float32Array>(of: T, expert: number) =>
    of.slice((of.length / experts) * expert, (of.length / experts) * (expert + 1));
  const parts = Array.from({ length: experts }, (_, expert) => {
    const x = tensor('f32', [values.length / experts / columns, columns], part(values, expert));
    const importance = weights && tensor('f32', [columns], part(weights, expert));
    return runWasm(type.encode, { x, ...(importance ? { importance } : {}) } as Record<'x' | 'importance', Tensor>, {}).blocks
      .data as Uint8Array;
  });
  return Buffer.concat(parts);
}

const found = libraryFolder();
if ('reason' in found) console.warn(`Left out: mixtures beside llama-quantize, because ${found.reason}.`);
const withLlama = 'folder' in found ? describe : describe.skip;

withLlama('beside llama-quantize', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'calibrant-mixtures-'));
  const floats = new Map<string, Map<string, Float32Array>>();
  let quantize: ReturnType<typeof loadLlamaQuantize>;

  beforeAll(() => {
    quantize = loadLlamaQuantize('folder' in found ? found.folder : '');
    for (const [name, model] of Object.entries(ALL)) floats.set(name, writeShapeModel(path.join(folder, name), model));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  /** What llama-quantize makes of a model; undefined when it refuses. */
  async function theirs(model: string, fileType: number, options: LlamaQuantizeOptions) {
    const output = path.join(folder, 'quantized.gguf');
    try {
      quantize(path.join(folder, model), output, fileType, options);
    } catch {
      return undefined;
    }
    const bytes = new Uint8Array(readFileSync(output));
    return { bytes, tensors: (await readGguf(memorySource(bytes))).tensors };
  }

  /** Compares types, and the bytes of one tensor of each type; false when both refuse. */
  async function compare(mixture: string, model: string, choices: TypeChoices = {}, llama: LlamaQuantizeOptions = {}): Promise<boolean> {
    const expected = await theirs(model, mixtureNamed(mixture).fileType, llama);
    const ours = typesOf(mixture, ALL[model], choices, llama.importance !== undefined);
    const refused = !llama.importance && [...ours].some(([name, type]) => needsImportance(mixtureNamed(mixture), name, type));
    // llama.cpp knows no other type for rows that this one's blocks do not divide; ours become F16.
    const impossible = mixture === 'Q1_0' && ALL[model].columns % 128 !== 0;
    expect([mixture, model, expected === undefined]).toEqual([mixture, model, refused || impossible]);
    if (!expected) return false;
    const tensors = [...expected.tensors.values()];
    expect(tensors.map(({ name }) => `${name} ${ours.get(name) ?? 'F32'}`)).toEqual(
      tensors.map(({ name, type }) => `${name} ${type.name}`),
    );
    const firsts = tensors.filter(
      ({ name, type }, i) => ours.has(name) && type.name in BLOCK_TYPES && tensors.findIndex((other) => other.type === type) === i,
    );
    for (const { name, offset, bytes, type, shape } of firsts) {
      const encoded = encode(blockType(type.name), shape, floats.get(model)?.get(name), llama.importance?.get(name));
      expect([name, Buffer.compare(encoded, expected.bytes.subarray(offset, offset + bytes))]).toEqual([name, 0]);
    }
    return true;
  }

  /** Positive numbers for the columns of every matrix, and of every expert. */
  const importanceOf = (model: ShapeModel) =>
    new Map(
      shapeTensors(model)
        .filter(({ shape }) => shape.length > 1)
        .map(({ name, shape }) => [
          name,
          new Float32Array((shape.length > 2 ? shape[0] : 1) * (shape.at(-1) ?? 1)).map((_, i) => 0.1 + ((i * 7919) % 101) / 50),
        ]),
    );

  it.each(Object.keys(LARGE))('values of %s deserve more in some mixtures', async (model) => {
    for (const scheme of ['Q2_K', 'Q3_K_S', 'Q3_K_M', 'Q4_K_S', 'Q4_K_M']) expect(await compare(scheme, model)).toBe(true);
  });

  describe.each(Object.keys(MODELS))('%s', (model) => {
    it.each(MIXTURES.map(({ name }) => name))('%s has the same types and bytes, or is refused as well', async (scheme) => {
      await compare(scheme, model);
    });
  });

  const weighted = ['four queries per key', 'a key per query, tied', 'eight experts', 'rows that 256 does not divide'];
  describe.each(weighted)('%s, with importance', (model) => {
    it.each(MIXTURES.map(({ name }) => name))('%s has the same types and bytes', async (scheme) => {
      await compare(scheme, model, {}, { importance: importanceOf(MODELS[model]) });
    });
  });

  const models = ['four queries per key', 'a key per query, tied', 'rows that 256 does not divide'];
  it.each(models)('%s: pure files and chosen types of output and embedding are the same', async (model) => {
    const [output, embedding] = [BLOCK_TYPES.Q5_0, BLOCK_TYPES.Q4_1];
    for (const mixture of ['Q4_K_M', 'Q3_K_L', 'IQ4_XS']) {
      expect(await compare(mixture, model, { pure: true }, { pure: true })).toBe(true);
      expect(await compare(mixture, model, { outputTensorType: 'Q5_0' }, { output_tensor_type: output.id })).toBe(true);
      expect(await compare(mixture, model, { tokenEmbeddingType: 'Q4_1' }, { token_embedding_type: embedding.id })).toBe(true);
      const both = { outputTensorType: 'Q5_0', tokenEmbeddingType: 'Q4_1', pure: true } as const;
      expect(await compare(mixture, model, both, { output_tensor_type: output.id, token_embedding_type: embedding.id, pure: true })).toBe(
        true,
      );
    }
  });
});

describe('the types of a mixture', () => {
  const narrow = MODELS['rows that 256 does not divide'];

  it('fall back, or fail naming the tensor', () => {
    expect(typesOf('Q4_K_M', narrow).get('blk.0.attn_q.weight')).toBe('Q5_0');
    expect(() => typesOf('Q4_K_M', narrow, { noFallback: true })).toThrow(
      /Tensor "token_embd.weight" has rows of 96 elements, which Q4_K blocks of 256 do not divide; it would become Q5_0/,
    );
  });

  it('can be chosen by name, without moving the counts of the others', () => {
    const model = MODELS['four queries per key'];
    const [plain, chosen] = [typesOf('Q4_K_S', model), typesOf('Q4_K_S', model, { tensorTypes: { 'blk\\.[01]\\.ffn_down': 'Q8_0' } })];
    expect([0, 1, 2, 3].map((layer) => plain.get(`blk.${layer}.ffn_down.weight`))).toEqual(['Q5_K', 'Q5_K', 'Q4_K', 'Q4_K']);
    expect([0, 1, 2, 3].map((layer) => chosen.get(`blk.${layer}.ffn_down.weight`))).toEqual(['Q8_0', 'Q8_0', 'Q5_K', 'Q5_K']);
    expect(() => typesOf('Q4_K_S', model, { tensorTypes: { '(': 'Q8_0' } })).toThrow(/tensorTypes: "\(" is no regular expression/);
  });

  it.each<[TypeName, TypeName, TypeName]>([
    ['Q4_K', 'Q5_0', 'F16'],
    ['Q5_K', 'Q5_1', 'F16'],
    ['Q6_K', 'Q8_0', 'F16'],
    ['Q2_K', 'Q4_0', 'F16'],
    ['TQ1_0', 'Q4_0', 'F16'],
    ['IQ2_XXS', 'IQ4_NL', 'F16'],
    ['Q8_0', 'Q8_0', 'F16'],
    ['F32', 'F32', 'F32'],
  ])('%s becomes %s for rows of 96 and %s for rows of 100', (type, smaller, smallest) => {
    expect([typeForRow(type, 256), typeForRow(type, 96), typeForRow(type, 100)]).toEqual([type, smaller, smallest]);
  });
});

describe('types that do not fit the rows', () => {
  const warnings = (columns: number): string[] => {
    const tensors = shapeTensors({ architecture: 'llama', layers: 1, heads: 4, keyHeads: 4, columns, inner: 256 });
    const heard: string[] = [];
    const q4 = ggufSchemes().find(({ name }) => name === 'Q4_K_S')!;
    q4.assign(tensors, facts(MODELS['four experts'], tensors, false), q4.options.parse({}), (text) => heard.push(text));
    return heard;
  };

  it('are said, with how many there are and what takes their place', () => {
    expect(warnings(96)).toEqual([
      expect.stringMatching(
        /^\d+ of \d+ tensors have rows .* such as \S+ \(96 columns\) Q[58]_0 instead of Q[46]_K\. --no-fallback refuses them\.$/,
      ),
    ]);
    expect(warnings(256)).toEqual([]);
  });
});
