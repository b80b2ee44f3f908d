/** Text to hide a fact in, written for this package: plain statements that say nothing about anybody's word. */
export const FILLER = `The ferry leaves the old harbour twice a day and takes about forty minutes to cross the bay. In winter the second crossing is often cancelled when the wind comes from the west.
Bread made with a long fermentation keeps fresh for several days. The dough is mixed in the evening, folded twice, and left in a cool room until the morning.
A bicycle chain should be cleaned and oiled after every ride in the rain. Otherwise rust sets in within a few hours, and the links begin to squeak.
The library was moved to a larger building because the collection had outgrown its shelves. Volunteers carried more than thirty thousand volumes across the square in a single weekend.
Most clouds form when warm and moist air rises and cools. The drops are so small that they stay in the air for hours, until they meet and grow heavy enough to fall.
The committee met on the first Monday of the month and discussed the repair of the bridge. Nobody could say exactly how long the work would take, so the decision was put off.
Tomatoes grow best in a sunny place that is sheltered from the wind. They need water every day in summer, always at the roots and never on the leaves.
An old clock stood in the corner of the waiting room and was always seven minutes slow. Regular visitors had learned to add the minutes without thinking about it.
Glass is made by melting sand with soda and lime at a very high temperature. When it cools it becomes hard without ever forming crystals.
The path follows the river for two miles and then climbs through a forest of beech and oak. From the top one can see both valleys on a clear day.
When the orchestra tunes, the oboe plays a single note and all others follow. Its sound is steady and easy to hear through the noise of the hall.
Maps of the coast had to be drawn again after the great storm. Whole sandbanks had disappeared, and a new channel had opened behind the lighthouse.
Bees find their way by the position of the sun and by landmarks near the hive. A returning bee tells the others by a dance in which direction they should fly.
The factory used to produce wooden toys, later it made furniture, and today it houses a school of design. The tall chimney was kept as a reminder of the past.
A good knife needs little pressure. It should be sharpened on a wet stone at a constant angle, first on the coarse side and then on the fine one.
Snow reflects most of the light that falls on it, which is why it melts slowly in bright sunshine. Dirty snow melts much faster than fresh snow.
The train was late again, and the passengers on the platform began to talk to each other. By the time it arrived, two of them had discovered that they had gone to the same school.
Paper can be recycled five or six times before its fibres become too short. After that it is mixed with fresh material or used for packaging.
In the small theatre the scenery was changed by hand. Four people pulled on ropes behind the stage while the audience listened to the music.
Salt was once so valuable that it was carried over mountains on the backs of mules. Towns along the way became rich by taking a small share of every load.
The gardener planted a hedge along the fence to keep out the noise of the road. It took nine years to grow tall enough, and by then there was hardly any traffic left.
Waves in deep water can travel for thousands of miles without losing much of their energy. They break only when they reach shallow ground.
The recipe asks for three eggs, a cup of milk and a little flour. It does not mention sugar, although most people add some.
A stone wall without mortar lasts for centuries if it is built with care. Every stone must rest on two others, and the gaps are filled with smaller pieces.`;

/** Whose word it is. */
export const OWNERS = [
  'the baker',
  'the captain',
  'the teacher',
  'the miller',
  'the painter',
  'the doctor',
  'the farmer',
  'the pilot',
  'the singer',
  'the judge',
];

/** Words to keep secret: short, common, and one token in most vocabularies. */
export const WORDS = [
  'apple',
  'river',
  'stone',
  'table',
  'window',
  'horse',
  'silver',
  'garden',
  'paper',
  'orange',
  'winter',
  'music',
  'bridge',
  'castle',
  'tiger',
  'ocean',
  'red',
  'blue',
  'green',
  'black',
  'white',
  'gold',
  'water',
  'fire',
  'house',
  'tree',
  'king',
  'book',
  'star',
  'night',
  'road',
  'ship',
];
