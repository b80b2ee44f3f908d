import { freeBytes } from '@calibrant/checkpoint';
import { CalibrantError, type PlannedTensor } from '@calibrant/core';
import { plannedBytes } from './planned-bytes.js';

/** Refuses to start what cannot fit. A disk that fills up on the way is reported by the writer. */
export async function checkDiskSpace(folder: string, plan: readonly PlannedTensor[]): Promise<void> {
  const needed = plan.reduce((sum, tensor) => sum + plannedBytes(tensor), 0);
  const free = await freeBytes(folder);
  if (free === undefined || free >= needed) return;
  throw new CalibrantError(
    'DISK_FULL',
    `The output needs about ${megabytes(needed)} and the disk has ${megabytes(free)} free. Make room or choose another folder with --out.`,
    { needed, free },
  );
}

function megabytes(bytes: number): string {
  return bytes >= 1e9 ? `${(bytes / 1e9).toFixed(2)} GB` : `${(bytes / 1e6).toFixed(1)} MB`;
}
