// Package render draws robot scenes on the CPU: colour, depth and segmentation of a scene
// of primitives, with one sun that casts shadows, for cameras of any pose. It knows no
// physics engine and needs no display.
//
// # Method
//
// Rays are cast only at what they may hit. Each object's bounding box is projected, its
// outline gives the pixels of each row that the object can cover, and only there the ray
// through the pixel's centre is intersected with the shape in closed form, nearest objects
// first, against a depth buffer (the depth of a ray whose direction has z = 1 in the
// camera's frame is its parameter, so that no conversion is needed). Meshes are
// intersected through a tree of bounding boxes (Möller and Trumbore, Fast, Minimum Storage
// Ray/Triangle Intersection, 1997). What is visible is then shaded once: a sun with
// Blinn-Phong highlights and a sky that is lighter above than below. Shadows are rays to
// the sun; a grid over the plane across the sun's direction says which objects such a ray
// can meet at all.
//
// Most of a picture is faces across an axis of their object. They are shaded by stretches of
// a row: the light is the same all along, the place on the face is linear in x over the
// depth, and a convex object that shades both ends of a stretch shades all of it. Patterns
// are solid textures, filtered over the pixel's footprint, which is interpolated between the
// ends, instead of being sampled; wood is blended between two sizes only around the middle
// between them.
//
// Pixels where the surface or the shadow changes visibly are drawn again with four rays, one
// in each quarter (adaptive supersampling after Whitted, An Improved Illumination Model for
// Shaded Display, 1980). A ray is cast only where one of the four pixels around it shows
// something else, at the surfaces that these show, and takes the colour that the surface has
// there.
//
// # Limits
//
// One ray through its centre decides whether a pixel needs more: an object, or a shadow,
// narrower than a pixel can fall between the centres, and then is missing at those pixels
// however many rays are cast elsewhere. A line needs a width of one pixel across its
// direction, height/(2·tan(view/2)) pixels a radian, to be seen without gaps: at 96 rows and
// a view of 0.72 rad that is 8 mm at a distance of 1 m. On a surface of revolution something
// thinner than turnedStep pixels of the same surface, or of its shadow on itself, may be
// missed where both sides of it are alike.
//
// # Conventions
//
// Lengths are metres, angles radians, quaternions w, x, y, z, and the world's z points up.
// A camera's frame is OpenCV's: x right, y down, z forward; pixel (0, 0) is the upper left
// one and its centre lies at (0, 0), so that the picture reaches from -0.5 to width-0.5.
// Depth is along the camera's z, not along the ray. Shapes with an axis have it along
// their z, and sizes are radii and half lengths, all as in MuJoCo.
//
// # The same pixels everywhere
//
// Pictures are the same, bit for bit, on every machine. The arithmetic is IEEE double
// precision with sums in a fixed order, square roots, which IEEE rounds exactly, and no
// other function of package math that is approximate, but for the tangent of the field of
// view, which is rounded to single precision. Go may fuse a product and a sum into one
// operation that rounds once, and does so on some processors; mul rounds the product and
// so prevents it. Hence the rule of this package: a product that is added to something is
// written with mul.
package render
