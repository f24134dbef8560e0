/** Opens a report store by its configuration. */
import type { ReportStore } from '../../topology/model.ts';
import { folderStorage } from './folder.ts';
import { s3Storage } from './s3.ts';
import { type Signer, signerFrom } from './signature.ts';
import type { ReportStorage } from './storage.ts';

/** @param secret gives the value of a reference */
export function openStorage(config: ReportStore, secret: (reference: string) => Promise<string>): ReportStorage {
  return config.kind === 'folder' ? folderStorage(config.path) : s3Storage(config, secret);
}

/** @returns `null` when reports are not signed. @throws Error that says what the key must be, never holding it */
export async function openSigner(
  config: ReportStore,
  secret: (reference: string) => Promise<string>,
): Promise<Signer | null> {
  return config.key === undefined ? null : signerFrom(await secret(config.key));
}
