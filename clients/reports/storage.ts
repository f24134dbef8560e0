/** Where reports are kept: the port of the report store. A folder (folder.ts) and a bucket (s3.ts) implement it. */

/** What a service's list holds. */
export interface Listed {
  /** Numbers of reports, ascending. */
  numbers: number[];
  /** Names that are neither a report nor anything else of the store. */
  strangers: string[];
}

/** What was noted when reports were filed, apart from the reports themselves. */
export interface Marks {
  /** SHA-256 of the manifests by number; more than one when somebody wrote a second one. */
  byNumber: ReadonlyMap<number, readonly string[]>;
  /** Lines that are no marks, with their numbers. */
  garbled: ReadonlyArray<{ line: number; text: string }>;
}

/** Names are relative to the store, with slashes, for people and for problems. */
export interface ReportStorage {
  /** Address of the store, for people. */
  readonly where: string;
  /** @returns `null` when there is no store yet */
  services(): Promise<string[] | null>;
  list(service: string): Promise<Listed>;
  /** Names of a report's files. */
  files(service: string, number: number): Promise<string[]>;
  /** @returns `null` when there is no such file */
  read(service: string, number: number, file: string): Promise<Uint8Array | null>;
  /**
   * Adds a report: all of its files or none, and never over another one.
   * @returns false when the number is taken
   */
  put(service: string, number: number, files: ReadonlyMap<string, Uint8Array>): Promise<boolean>;
  /** Notes that a report was filed. May be called again. */
  mark(service: string, number: number, sha256: string): Promise<void>;
  marks(service: string): Promise<Marks>;
  nameOf(service: string, number: number, file?: string): string;
  /** Name of what holds the marks. */
  marksName(service: string): string;
}
