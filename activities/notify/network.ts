/** Which addresses a webhook may be sent to: public ones, and the networks the topology allows (SSRF). */
import { lookup as systemLookup } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';

/**
 * Nothing of the public internet: this machine, private and shared networks, link-local with the clouds' metadata
 * service, documentation, multicast, and the forms in which IPv6 carries such an IPv4 address. Source: the IANA
 * special-purpose address registries.
 */
const NOT_PUBLIC: ReadonlyArray<readonly [string, number]> = [
  ['0.0.0.0', 8], ['10.0.0.0', 8], ['100.64.0.0', 10], ['127.0.0.0', 8], ['169.254.0.0', 16], ['172.16.0.0', 12],
  ['192.0.0.0', 24], ['192.0.2.0', 24], ['192.88.99.0', 24], ['192.168.0.0', 16], ['198.18.0.0', 15],
  ['198.51.100.0', 24], ['203.0.113.0', 24], ['224.0.0.0', 4], ['240.0.0.0', 4],
  ['::', 96], ['64:ff9b::', 96], ['64:ff9b:1::', 48], ['100::', 64], ['2001::', 23], ['2001:db8::', 32],
  ['2002::', 16], ['3fff::', 20], ['5f00::', 16], ['fc00::', 7], ['fe80::', 10], ['fec0::', 10], ['ff00::', 8],
]; // biome-ignore format: a list

const refused = listOf(NOT_PUBLIC);

function listOf(networks: ReadonlyArray<readonly [string, number]>): BlockList {
  const list = new BlockList();
  for (const [address, bits] of networks) list.addSubnet(address, bits, isIP(address) === 6 ? 'ipv6' : 'ipv4');
  return list;
}

/** The address is one that must not be sent to. */
export class AddressRefused extends Error {}

export type AddressCheck = (address: string) => void;

/**
 * @param allow networks in CIDR notation that may be sent to although they are not public
 * @returns throws {@link AddressRefused} for an address that may not be sent to
 */
export function addressCheck(allow: readonly string[]): AddressCheck {
  const allowed = listOf(
    allow.map((network) => {
      const [address = '', bits = ''] = network.split('/');
      return [address, Number(bits)] as const;
    }),
  );
  return (address) => {
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
    // An IPv4 address in IPv6's clothes is judged as what it reaches.
    if (isIP(address) !== 0 && (allowed.check(address, family) || !refused.check(address, family))) return;
    throw new AddressRefused(
      `${address} is not a public address: notifications.channels.<name>.allow may name its network`,
    );
  };
}

/** A lookup whose every answer has passed the check: what is connected to is what was checked. */
export function checkedLookup(check: AddressCheck, lookup: typeof systemLookup = systemLookup): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, addresses) => {
      if (error !== null) return callback(error, '', 0);
      try {
        for (const { address } of addresses) check(address);
      } catch (refusal) {
        return callback(refusal as NodeJS.ErrnoException, '', 0);
      }
      if (options.all === true) return callback(null, addresses);
      const [first] = addresses;
      return callback(null, first?.address ?? '', first?.family ?? 0);
    });
  };
}
