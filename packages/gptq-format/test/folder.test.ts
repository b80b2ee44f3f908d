import {
  type AffineScheme,
  affineValues,
  createReferenceBackend,
  type PlannedTensor,
  parseAffineScheme,
  parseOptions,
  type Tensor,
  type TensorScheme,
  tensor,
} from '@calibrant/core';
import { gptqFormat } from '@calibrant/gptq-format';
import { formatInput, type MemoryFolder, memoryCheckpoint, memoryFolder, randomLayer } from '@calibrant/plugin-kit';
import { describe, expect, it } from '@jest/globals';

const format = gptqFormat();
const backend = createReferenceBackend();
const block = 'model.layers.0';
const grid = (name: string) => parseAffineScheme(name) as AffineScheme;
const shape = [32, 64] as const;
const linears = ['self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj', 'mlp.gate_proj', 'mlp.up_proj', 'mlp.down_proj'].map(
  (name) => `${block}.${name}.weight`,
);
const layerOf = (name: string, scheme: AffineScheme) => randomLayer(scheme, shape, name.length);

async function written(schemeOf: (name: string) => TensorScheme, options: Record<string, unknown> = {}): Promise<MemoryFolder> {
  const tensors = new Map<string, Tensor>([
    ...linears.map((name): [string, Tensor] => [name, tensor('f16', shape)]),
    [`${block}.self_attn.q_proj.bias`, tensor('f16', [32])],
  ]);
  const input = formatInput(memoryCheckpoint(tensors, { torch_dtype: 'float16' }, { 'tokenizer.json': '{}' }), linears);
  const chosen = parseOptions(format.options, options, 'format');
  const plan = (await format.outputs(input, chosen)).map(
    (output): PlannedTensor => ({
      ...output,
      scheme: linears.includes(output.name) ? schemeOf(output.name) : format.floatScheme(output, input.facts, chosen),
    }),
  );
  const folder = memoryFolder();
  const writer = await format.open(input, plan, folder, chosen, { backend });
  for (const planned of plan) {
    const { scheme, shape: size, name } = planned;
    if (scheme.kind === 'affine') await writer.write(planned, { rowStart: 0, value: layerOf(name, scheme) });
    else if (scheme.kind === 'float')
      await writer.write(planned, { rowStart: 0, value: { kind: 'float', scheme, shape: size, tensor: tensor(scheme.dtype, size) } });
  }
  await writer.finish();
  return folder;
}

type Change = (tensors: Map<string, Tensor>, settings: Record<string, any>) => void;

async function reopened(folder: MemoryFolder, change: Change = () => {}) {
  const [tensors, config] = [folder.tensors(), JSON.parse(folder.text('config.json'))];
  change(tensors, config.quantization_config);
  const warnings: string[] = [];
  const onEvent = (event: object) => void ('warning' in event && warnings.push(String(event.warning)));
  const texts = { 'quantize_config.json': JSON.stringify(config.quantization_config) };
  const checkpoint = await format.reader?.openFolder?.(memoryCheckpoint(tensors, config, texts), { backend, onEvent });
  return { checkpoint, warnings };
}

describe('layers on different grids', () => {
  const schemeOf = (name: string): TensorScheme => {
    if (/gate_proj|up_proj/.test(name)) return grid('int8-g32-sym');
    return name.includes('down_proj') ? { kind: 'float', dtype: 'f16' } : grid('int4-g32-sym');
  };

  it('get rules of `dynamic`, under the names of fused layers too, and come back', async () => {
    const folder = await written(schemeOf);
    expect(JSON.parse(folder.text('config.json')).quantization_config).toMatchObject({ bits: 4 });
    const { dynamic } = JSON.parse(folder.text('quantize_config.json'));
    expect(dynamic).toEqual({
      '-:^model\\.layers\\.0\\.mlp\\.down_proj$': {},
      '+:^model\\.layers\\.0\\.mlp\\.(gate_proj|up_proj|gate_up_proj)$': { bits: 8, group_size: 32, sym: true },
    });
    const { checkpoint } = await reopened(folder);
    for (const name of linears) {
      const scheme = schemeOf(name);
      if (scheme.kind === 'affine') expect(await checkpoint?.read(name)).toEqual(affineValues(layerOf(name, scheme)));
    }
    expect([...(checkpoint?.tensors.keys() ?? [])].sort()).toEqual([...linears, `${block}.self_attn.q_proj.bias`].sort());
  });
});

describe('the version', () => {
  const sym = () => grid('int4-g32-sym');

  it.each(['gptq', 'gptq_v2'])('is recognized from the zero points when %s is called by the other name', async (version) => {
    const folder = await written(sym, { version });
    const other = version === 'gptq' ? 'gptq_v2' : 'gptq';
    const { checkpoint, warnings } = await reopened(folder, (_, settings) => Object.assign(settings, { checkpoint_format: other }));
    expect(warnings).toEqual([expect.stringMatching(`is called ${other}, but its zero points are those of ${version}`)]);
    expect(await checkpoint?.read(linears[0])).toEqual(affineValues(layerOf(linears[0], sym())));
    expect((await reopened(folder)).warnings).toEqual([]);
  });

  it('made for one kernel is refused', async () => {
    const folder = await written(sym);
    await expect(reopened(folder, (_, settings) => Object.assign(settings, { checkpoint_format: 'marlin' }))).rejects.toThrow(/"marlin"/);
  });
});

describe('older folders', () => {
  it('have their settings in quantize_config.json alone', async () => {
    const folder = await written(() => grid('int4-g32-sym'));
    const { quantization_config: settings, ...config } = JSON.parse(folder.text('config.json'));
    const texts = { 'quantize_config.json': JSON.stringify({ bits: 4, group_size: 32, sym: true, desc_act: false }) };
    expect(settings.quant_method).toBe('gptq');
    const checkpoint = await format.reader?.openFolder?.(memoryCheckpoint(folder.tensors(), config, texts), { backend });
    expect(await checkpoint?.read(linears[1])).toEqual(affineValues(layerOf(linears[1], grid('int4-g32-sym'))));
  });
});

describe('damaged layers', () => {
  const part = (name: string) => linears[0].replace('weight', name);
  const damaged = async (change: Change) => reopened(await written(() => grid('int4-g32-sym')), change);

  it('are named with what is wrong', async () => {
    await expect(damaged((tensors) => tensors.delete(part('scales')))).rejects.toThrow(/q_proj is not a GPTQ layer: qweight, qzeros and/);
    await expect(damaged((tensors) => tensors.set(part('qzeros'), tensor('i32', [2, 5])))).rejects.toThrow(
      /q_proj .* sizes of qweight i32 \[8, 32\], qzeros i32 \[2, 5\]/,
    );
    await expect(damaged((tensors) => tensors.set(part('qweight'), tensor('f32', [8, 32])))).rejects.toThrow(/found qweight f32/);
    await expect(damaged((tensors) => tensors.set(part('g_idx'), tensor('i32', [63])))).rejects.toThrow(/g_idx i32 \[64\], found g_idx/);
    const beyond = tensor('i32', [64], new Int32Array(64).fill(2));
    await expect(damaged((tensors) => tensors.set(part('g_idx'), beyond))).rejects.toThrow(/g_idx names a group beyond 1/);
    await expect(damaged((_, settings) => Object.assign(settings, { bits: 8 }))).rejects.toThrow(/config says 8 bits, .* 4 bits/);
  });
});

describe('what cannot be stored', () => {
  it('is refused with the reason', async () => {
    const name = `${block}.mlp.up_proj.weight`;
    const input = formatInput(memoryCheckpoint(new Map([[name, tensor('f16', [30, 64])]])), [name]);
    const plan: PlannedTensor[] = [{ name, source: name, shape: [30, 64], scheme: grid('int3-g32-sym') }];
    const open = () => format.open(input, plan, memoryFolder(), parseOptions(format.options, {}, 'format'), { backend });
    await expect(open()).rejects.toThrow(/up_proj.weight has 30 outputs, no multiple of 32/);
  });
});
