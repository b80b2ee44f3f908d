import { CalibrantError, type ErrorCode, type ErrorDetails } from '@calibrant/core';

const CODES: Readonly<Record<string, ErrorCode>> = { ENOENT: 'NOT_FOUND', ENOTDIR: 'NOT_FOUND', ENOSPC: 'DISK_FULL', EDQUOT: 'DISK_FULL' };
const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'it does not exist. Check the path',
  ENOTDIR: 'a part of the path is a file and not a folder. Check the path',
  ENOSPC: 'the disk is full. Free some space or write to another disk',
  EDQUOT: 'your disk quota is used up. Free some space or write to another disk',
  EACCES: 'permission was denied. Check the permissions of the file and its folder',
  EPERM: 'the operation is not permitted. Check the permissions of the file and its folder',
  EROFS: 'the file system is read-only. Choose another folder',
  EISDIR: 'it is a folder and not a file',
  EMFILE: 'too many files are open. Raise the limit (ulimit -n)',
  EIO: 'the device reported an error',
};

/**
 * A file system error as a {@link CalibrantError}: `NOT_FOUND`, `DISK_FULL`, or `IO` for everything else. Other errors pass through.
 *
 * @param doing what failed, for the message: `Reading`
 */
export function fileError(doing: string, file: string, cause: unknown, details: ErrorDetails = {}): unknown {
  if (CalibrantError.isInstance(cause)) return cause;
  const systemCode = (cause as NodeJS.ErrnoException)?.code;
  if (typeof systemCode !== 'string') return cause;
  const reason = REASONS[systemCode] ?? `the system said ${systemCode}`;
  return new CalibrantError(CODES[systemCode] ?? 'IO', `${doing} ${file} failed: ${reason}.`, { file, ...details, cause });
}
