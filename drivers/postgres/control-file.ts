/**
 * The control file itself, `global/pg_control`, for the versions whose layout is known. A read costs microseconds
 * where a start of `pg_controldata` costs ten milliseconds and more, and the freeze reads it several times.
 *
 * The layout is that of `ControlFileData` in `src/include/catalog/pg_control.h` of PostgreSQL 15 to 18 on 64-bit
 * little-endian machines. Whatever is not exactly as expected (version, alignment, checksum) is left to the tool.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** What the driver wants to know, with positions as plain numbers. */
export interface ControlFile {
  /** As `pg_controldata` prints it. */
  state: string;
  systemId: string;
  checkpoint: bigint;
  timeline: number;
  minRecovery: bigint;
  minRecoveryTimeline: number;
  checksums: boolean;
  walLogHints: boolean;
  segmentBytes: number;
}

/** `pg_control_version` (15, 16 and 17 share one) and where the checksum over all bytes before it lies. */
const CHECKSUM_AT: Readonly<Record<number, number>> = { 1300: 288, 1800: 292 };

/** `DBState`, in the words of `pg_controldata`. */
const STATES = [
  'starting up',
  'shut down',
  'shut down in recovery',
  'shutting down',
  'in crash recovery',
  'in archive recovery',
  'in production',
] as const;

/** Value of `floatFormat`, there to show that the layout is the reader's own. */
const FLOAT_FORMAT = 1_234_567;

/** @returns `null` when the file cannot be read here, is of an unknown layout, or was caught in the middle of a write */
export async function readControlFile(dataDir: string): Promise<ControlFile | null> {
  const path = join(dataDir, 'global/pg_control');
  // A server that runs may be writing it: the checksum shows that, and the next read sees it whole.
  for (let attempt = 0; attempt < 3; attempt += 1) {
    const parsed = parseControlFile(await readFile(path).catch(() => Buffer.alloc(0)));
    if (parsed !== null) return parsed;
  }
  return null;
}

/** @returns `null` for anything but a whole control file of a known layout */
export function parseControlFile(file: Buffer): ControlFile | null {
  if (file.length < 296) return null;
  const checksumAt = CHECKSUM_AT[file.readUInt32LE(8)];
  if (checksumAt === undefined) return null;
  if (crc32c(file.subarray(0, checksumAt)) !== file.readUInt32LE(checksumAt)) return null;
  if (file.readDoubleLE(208) !== FLOAT_FORMAT) return null;
  const state = STATES[file.readUInt32LE(16)];
  if (state === undefined) return null;
  return {
    state,
    systemId: String(file.readBigUInt64LE(0)),
    checkpoint: file.readBigUInt64LE(32),
    // The copy of the latest checkpoint begins at 40: redo position, then its timeline.
    timeline: file.readUInt32LE(48),
    minRecovery: file.readBigUInt64LE(136),
    minRecoveryTimeline: file.readUInt32LE(144),
    walLogHints: file.readUInt8(176) !== 0,
    segmentBytes: file.readUInt32LE(228),
    checksums: file.readUInt32LE(252) !== 0,
  };
}

/** CRC-32C (Castagnoli), as PostgreSQL computes it. */
function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (crc >>> 8) ^ TABLE[(crc ^ byte) & 0xff]!;
  return (crc ^ 0xffffffff) >>> 0;
}

const TABLE = Uint32Array.from({ length: 256 }, (_, index) => {
  let value = index;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1;
  return value >>> 0;
});
