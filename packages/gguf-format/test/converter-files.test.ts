import { createReferenceBackend, toF32 } from '@calibrant/core';
import { GgufWriter, layOut, openGgufCheckpoint, readGguf } from '@calibrant/gguf-format';
import { openTransformer } from '@calibrant/transformer';
import { expect, it } from '@jest/globals';
import { convert } from './convert-model.js';
import { formulaModel } from './formula-model.js';
import { memoryFolder, memorySink, memorySource } from './memory-files.js';

const backend = createReferenceBackend();
const GATE = /ffn_gate_inp_shexp\.weight$/;

it("a file of llama.cpp's converter, with gates of shared experts as matrices of one row, gives the same logits", async () => {
  const { checkpoint, ids } = formulaModel('qwen2-moe');
  const folder = memoryFolder();
  await convert(checkpoint, folder, backend, { format: { tokenizer: 'none' } });
  const source = memorySource(folder.files.get('model.gguf')?.bytes() ?? new Uint8Array());
  const { metadata, tensors } = await readGguf(source);
  const plans = [...tensors.values()].map(({ name, type, shape }) => ({ name, type, shape: GATE.test(name) ? [1, ...shape] : shape }));
  expect(plans.filter(({ name, shape }) => GATE.test(name) && shape.length === 2)).toHaveLength(2);
  const sink = memorySink();
  const writer = new GgufWriter(sink, layOut(metadata, plans));
  for (const { name, offset, bytes } of tensors.values()) await writer.write(name, 0, await source.read(offset, bytes));
  await writer.finish();

  const again = await openGgufCheckpoint(memorySource(sink.bytes()), { backend });
  expect(again.tensors.get('model.layers.0.mlp.shared_expert_gate.weight')?.shape).toEqual([1, checkpoint.config['hidden_size']]);
  const expected = toF32(await openTransformer(checkpoint, backend).logits(ids));
  const found = toF32(await openTransformer(again, backend).logits(ids));
  expect(expected.reduce((most, logit, i) => Math.max(most, Math.abs(logit - found[i])), 0)).toBeLessThan(1e-4);
});
