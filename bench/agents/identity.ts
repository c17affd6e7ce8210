import { createHash, createPrivateKey, createPublicKey, type KeyObject, randomUUID, sign } from 'node:crypto';

/** DER of a PKCS#8 Ed25519 key up to its 32 bytes. */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');

/**
 * Who the agent with this number is. It follows from the number, so that the program that seeds the database and those
 * that run agents need not tell each other 10,000 keys.
 */
export class Identity {
  readonly dataPlaneId: string;
  readonly keyId: string;
  private readonly privateKey: KeyObject;
  private readonly header: string;

  constructor(agent: number) {
    const hash = (what: string) => createHash('sha256').update(`felucca bench ${what} ${agent}`).digest();
    this.dataPlaneId = asUuid(hash('data plane'));
    this.keyId = `ok_${hash('key id').toString('hex').slice(0, 32)}`;
    this.privateKey = createPrivateKey({
      key: Buffer.concat([PKCS8_PREFIX, hash('private key')]),
      format: 'der',
      type: 'pkcs8',
    });
    this.header = encoded({ alg: 'EdDSA', kid: this.keyId });
  }

  /** JWK `x`. */
  get publicKey(): string {
    return createPublicKey(this.privateKey).export({ format: 'jwk' }).x ?? '';
  }

  /** For one method and path, good for a minute and one use. */
  authorization(method: 'GET' | 'POST', path: string): string {
    const claims = encoded({
      iss: this.dataPlaneId,
      aud: 'felucca-control-api',
      htm: method,
      htu: path,
      iat: Math.floor(Date.now() / 1_000),
      jti: randomUUID(),
    });
    const signed = `${this.header}.${claims}`;
    return `Felucca ${signed}.${sign(null, Buffer.from(signed), this.privateKey).toString('base64url')}`;
  }
}

const encoded = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');

function asUuid(bytes: Buffer): string {
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  return bytes.toString('hex', 0, 16).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
