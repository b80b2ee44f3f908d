import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { deserialize, serialize } from 'node:v8';
import {
  type ActivationGrid,
  CalibrantError,
  type FormatWriter,
  type PlannedTensor,
  type QuantizedTensor,
  type Tensor,
} from '@calibrant/core';
import type { BlocksResult } from '../run/blocks.js';
import type { CalibrationTokens } from '../run/calibration.js';
import { appendFrames, type FrameWriter, readFrames } from './frames.js';

type ActivationPlace = Parameters<NonNullable<FormatWriter['writeActivation']>>[0];
/** A scheme may hold functions, which no file can: the planned one stands in for it. */
type Bare<T> = T extends unknown ? Omit<T, 'scheme'> : never;
type Frame =
  | { readonly tensor: string; readonly rowStart: number; readonly value: Bare<QuantizedTensor> }
  | { readonly of: ActivationPlace; readonly grid: ActivationGrid };

/** Where a run stands behind a block. */
export interface Standing {
  /** Blocks that are finished, and the tensors in them. */
  readonly blocks: number;
  readonly tensors: number;
  readonly result: BlocksResult;
  /** The hidden states of the calibration set behind them; several sets where a method follows more than one. */
  readonly states: readonly (readonly Tensor[])[];
}

/** What the commit file holds: all that lies in the other files counts only as far as it says. */
interface Commit extends Omit<Standing, 'states'> {
  readonly key: string;
  /** Hash of the calibration set. */
  readonly tokens: string | undefined;
  readonly writeBytes: number;
  readonly states: { readonly file: string; readonly bytes: number; readonly sets: number };
}

/**
 * The journal of a calibrated run, in a folder beside its output: what it told the writer of the format, block by block, and the hidden states behind
 * the last block. A run of the same key (recipe, model, version) that finds it tells its own writer the same and goes on from there, so that the
 * output is the same byte for byte.
 */
export interface Journal {
  /** The calibration set: the one that was kept, where making it again would take long. */
  calibrated(source: string, make: () => Promise<CalibrationTokens>): Promise<CalibrationTokens>;
  /** A writer that keeps what it is told. */
  recording(writer: FormatWriter): FormatWriter;
  /** Where the earlier run stood, after the writer was told what it was told then; undefined when there is nothing to go on from. */
  replay(writer: FormatWriter, plan: readonly PlannedTensor[]): Promise<Standing | undefined>;
  /** Notes that some blocks are finished, when enough time went by since the last note. */
  finished(standing: Standing): Promise<void>;
  /** Closes the files; with nothing worth keeping, or when the run is `complete`, the folder is removed. Returns whether it is kept. */
  close(complete: boolean): Promise<boolean>;
}

export interface JournalOptions {
  /** Says that two runs do the same. */
  readonly key: string;
  /** Seconds between two notes. */
  readonly every: number;
}

/**
 * Opens the journal of an output. One of another key is removed.
 *
 * @returns undefined when a run that is under way for the same output has it
 */
export async function openJournal(folder: string, { key, every }: JournalOptions): Promise<Journal | undefined> {
  const at = (name: string) => path.join(folder, name);
  if (await isTaken(at('owner'))) return undefined;
  let commit = await readCommit(at('commit'), key);
  if (!commit) await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  await writeFile(at('owner'), String(process.pid));
  let tokens: string | undefined;
  let frames: FrameWriter | undefined;
  let noted = performance.now();

  const keepFrame = async (frame: Frame): Promise<void> => {
    frames ??= await appendFrames(at('writes'));
    await frames.append(frame);
  };
  const damaged = (cause: unknown) =>
    new CalibrantError('IO', `The journal of an earlier run, ${folder}, is damaged. Remove it, or start anew with --no-journal.`, {
      file: folder,
      cause,
    });

  return {
    async calibrated(source, make) {
      const stored = source === 'self' && commit ? await readCalibrated(at('calibration')) : undefined;
      const set = stored ?? (await make());
      tokens = set.summary.sha256;
      if (commit && commit.tokens !== tokens) {
        commit = undefined;
        await rm(at('commit'));
      }
      if (source === 'self' && !stored) await writeFile(at('calibration'), serialize(set));
      return set;
    },

    recording: (writer) => ({
      ...writer,
      async write(tensor, part) {
        await writer.write(tensor, part);
        const { scheme: _planned, ...value } = part.value;
        await keepFrame({ tensor: tensor.name, rowStart: part.rowStart, value });
      },
      ...(writer.writeActivation
        ? {
            async writeActivation(of, grid) {
              await writer.writeActivation?.(of, grid);
              await keepFrame({ of, grid });
            },
          }
        : {}),
    }),

    async replay(writer, plan) {
      if (!commit) return undefined;
      const { writeBytes, states, blocks, tensors, result } = commit;
      const planned = new Map(plan.map((tensor) => [tensor.name, tensor]));
      const sets: Tensor[][] = Array.from({ length: states.sets }, () => []);
      try {
        for await (const frame of readFrames(at('writes'), writeBytes) as AsyncGenerator<Frame>) {
          if ('of' in frame) await writer.writeActivation?.(frame.of, frame.grid);
          else {
            const tensor = planned.get(frame.tensor) as PlannedTensor;
            await writer.write(tensor, { rowStart: frame.rowStart, value: { ...frame.value, scheme: tensor.scheme } as QuantizedTensor });
          }
        }
        for await (const { set, tensor } of readFrames(at(states.file), states.bytes) as AsyncGenerator<{ set: number; tensor: Tensor }>)
          sets[set].push(tensor);
      } catch (cause) {
        throw damaged(cause);
      }
      frames = await appendFrames(at('writes'), writeBytes);
      return { blocks, tensors, result, states: sets };
    },

    async finished({ blocks, tensors, result, states }) {
      if (performance.now() - noted < every * 1000) return;
      frames ??= await appendFrames(at('writes'));
      const writeBytes = await frames.flush();
      const file = `states-${blocks}`;
      const kept = await appendFrames(at(file));
      for (const [set, ofSet] of states.entries()) for (const tensor of ofSet) await kept.append({ set, tensor });
      const bytes = await kept.flush();
      await kept.close();
      const earlier = commit?.states.file;
      commit = { key, tokens, blocks, tensors, result, writeBytes, states: { file, bytes, sets: states.length } };
      await writeFile(at('commit.part'), serialize(commit));
      await rename(at('commit.part'), at('commit'));
      if (earlier !== undefined && earlier !== file) await rm(at(earlier), { force: true });
      noted = performance.now();
    },

    async close(complete) {
      await frames?.close();
      const kept = !complete && commit !== undefined;
      await rm(kept ? at('owner') : folder, { recursive: true, force: true });
      return kept;
    },
  };
}

async function readCommit(file: string, key: string): Promise<Commit | undefined> {
  const commit = await readFile(file).then(
    (bytes) => deserialize(bytes) as Commit,
    () => undefined,
  );
  return commit?.key === key ? commit : undefined;
}

function readCalibrated(file: string): Promise<CalibrationTokens | undefined> {
  return readFile(file).then(
    (bytes) => deserialize(bytes) as CalibrationTokens,
    () => undefined,
  );
}

/** Whether the process that wrote its number there is alive, and another one. */
async function isTaken(file: string): Promise<boolean> {
  const owner = Number(await readFile(file, 'utf8').catch(() => Number.NaN));
  if (!Number.isInteger(owner) || owner === process.pid) return false;
  try {
    process.kill(owner, 0);
    return true;
  } catch {
    return false;
  }
}
