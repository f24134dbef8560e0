import { describeStore } from '../../conformance/store/store-suite.ts';
import { startAurora } from './world.ts';

describeStore('aurora-global', () => startAurora({ kind: 'global', move: 'swapped' }));
// Its databases really change roles; what is generic about a switch was disturbed above.
describeStore('aurora', () => startAurora({ kind: 'regional', move: 'promoted' }), { short: true });
