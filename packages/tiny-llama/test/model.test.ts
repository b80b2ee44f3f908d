import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { evaluationTextPath, modelFolder } from '@calibrant/tiny-llama';
import { describe, expect, it } from '@jest/globals';

describe('the embedded model', () => {
  it('lies where modelFolder says, with the files that a checkpoint needs', async () => {
    expect(path.isAbsolute(modelFolder)).toBe(true);
    const config = JSON.parse(await readFile(path.join(modelFolder, 'config.json'), 'utf8'));
    expect(config).toMatchObject({ model_type: 'llama', hidden_size: 256, num_hidden_layers: 4, vocab_size: 4096 });
    for (const file of ['tokenizer.json', 'tokenizer_config.json', 'reference.safetensors', 'reference.json', 'tokenizer_reference.json'])
      expect((await stat(path.join(modelFolder, file))).size).toBeGreaterThan(100);
    expect((await stat(path.join(modelFolder, 'model.safetensors'))).size).toBe(8397312);
  });

  it('comes with an evaluation text of clean UTF-8 with Unix line ends', async () => {
    const bytes = await readFile(evaluationTextPath);
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    expect(bytes.length).toBeGreaterThan(24000);
    expect(text).not.toMatch(/\r/);
    expect(text.endsWith('\n')).toBe(true);
  });
});
