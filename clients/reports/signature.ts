/** Signatures of reports: ed25519 over the bytes of the manifest, with the public key beside it. */
import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';

export interface Signer {
  /** SHA-256 of the public key (SubjectPublicKeyInfo, DER), in hex. */
  keyId: string;
  sign(bytes: Uint8Array): Uint8Array;
}

const NOT_ED25519 = 'it must be an ed25519 key in PEM: openssl genpkey -algorithm ed25519';

/**
 * @param pem private key, PKCS #8
 * @throws Error that says what it must be, never holding the key
 */
export function signerFrom(pem: string): Signer {
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch {
    throw new Error(`the key that signs reports cannot be read; ${NOT_ED25519}`);
  }
  if (key.asymmetricKeyType !== 'ed25519')
    throw new Error(`the key that signs reports is of type ${key.asymmetricKeyType}; ${NOT_ED25519}`);
  const publicKey = createPublicKey(key);
  const pemOfPublic = publicKey.export({ type: 'spki', format: 'pem' }).toString();
  return {
    keyId: keyIdOf(publicKey),
    sign: (bytes) =>
      Buffer.from(
        `${JSON.stringify({ algorithm: 'ed25519', publicKey: pemOfPublic, signature: sign(null, bytes, key).toString('base64') })}\n`,
      ),
  };
}

/** @param pem a public key that is trusted. @throws Error that says what it must be */
export function trustedKeyId(pem: string): string {
  try {
    const key = createPublicKey(pem);
    if (key.asymmetricKeyType === 'ed25519') return keyIdOf(key);
  } catch {
    // said below
  }
  throw new Error('the public key must be an ed25519 key in PEM: openssl pkey -in key.pem -pubout');
}

function keyIdOf(publicKey: KeyObject): string {
  return createHash('sha256')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest('hex');
}

/**
 * Why a signature does not vouch for a manifest, in a sentence; `null` when it does.
 * @param keyId key that the manifest names
 */
export function signatureProblem(manifest: Uint8Array, signature: Uint8Array | null, keyId: string): string | null {
  if (signature === null) return 'the signature is missing';
  try {
    const read = JSON.parse(Buffer.from(signature).toString('utf8')) as Record<string, unknown>;
    const key = createPublicKey(String(read.publicKey));
    if (read.algorithm !== 'ed25519' || key.asymmetricKeyType !== 'ed25519') return 'it is not an ed25519 signature';
    if (keyIdOf(key) !== keyId) return 'it was made with another key than the manifest names';
    const bytes = Buffer.from(String(read.signature), 'base64');
    return verify(null, manifest, key, bytes) ? null : 'the signature does not belong to this manifest';
  } catch {
    return 'the signature cannot be read';
  }
}
