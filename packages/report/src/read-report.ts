import { CalibrantError } from '@calibrant/core';
import type { ReportData } from './data.js';

/**
 * Reads a report back from its JSON.
 *
 * @throws CalibrantError `CORRUPT_FILE` for what is not a report of this version.
 */
export function parseReport(text: string, file: string): ReportData {
  let data: Partial<ReportData>;
  try {
    data = JSON.parse(text);
  } catch (cause) {
    throw new CalibrantError('CORRUPT_FILE', `${file} is not JSON: ${(cause as Error).message}.`, { file, cause });
  }
  const whole = data?.schema === 'calibrant-report/v1' && typeof data.model?.name === 'string' && typeof data.size?.bytes === 'number';
  if (!whole)
    throw new CalibrantError(
      'CORRUPT_FILE',
      `${file} is no report of this version ("schema": "calibrant-report/v1"). Make it anew with calibrant report.`,
      { file },
    );
  return data as ReportData;
}
